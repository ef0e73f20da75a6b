#include "harness/profile.hpp"

#include <gtest/gtest.h>

namespace deformer {
namespace {

const WaterfallStep& step(const std::vector<WaterfallStep>& steps, const char* name) {
  return *std::ranges::find(steps, name, &WaterfallStep::name);
}

TEST(Waterfall, TakesOffEachLossAndEndsAtTheMeasuredRatio) {
  // full: 100 units of work in 1000 ns, 10 of them for fetching weights, 20 fixed.
  const StageTimes full{
      .flops = 100, .encode_flops = 100, .encode_ns = 980, .encode_warm_ns = 970, .fixed_ns = 20};
  // The variant has a quarter of the work: ideally 250 ns.
  const StageTimes variant{.flops = 25,
                           .encode_flops = 25,
                           .encode_ns = 300,
                           .encode_warm_ns = 260,
                           .load_ns = 15,
                           .fixed_ns = 10};
  const auto steps = waterfall(full, variant, 1000, 1000.0 / 330);
  EXPECT_DOUBLE_EQ(steps.front().ratio, 4);
  EXPECT_DOUBLE_EQ(step(steps, "small products").ns, 260 - 970.0 / 4);
  EXPECT_DOUBLE_EQ(step(steps, "weight bandwidth").ns, 40 - 10.0 / 4);
  EXPECT_DOUBLE_EQ(step(steps, "load").ns, 15);
  EXPECT_DOUBLE_EQ(step(steps, "fixed cost").ns, 10 - 20.0 / 4);
  // 250 + 17.5 + 37.5 + 15 + 5 = 325 of 330.
  EXPECT_NEAR(step(steps, "remainder").ns, 5, 1e-9);
  EXPECT_NEAR(step(steps, "remainder").ratio, 1000.0 / 330, 1e-9);
  EXPECT_DOUBLE_EQ(steps.back().ratio, 1000.0 / 330);
  EXPECT_NEAR(waterfall_json(steps, 330)["remainder_fraction"].get<double>(), 5.0 / 330, 1e-9);
}

Roofs roofs() {
  Roofs roofs;
  roofs.threads = 2;
  roofs.arithmetic.push_back({.dtype = "f32",
                              .isa = "x",
                              .instruction = "x",
                              .threads = 2,
                              .best_gflops = 100,
                              .median_gflops = 100,
                              .missing = ""});
  BandwidthRoof memory;
  memory.level = "memory";
  memory.threads = 2;
  memory.rate.read_gb_per_s = 10;
  roofs.bandwidth.push_back(memory);
  return roofs;
}

TEST(OperationRoof, ComputeOrBytesWhicheverTakesLonger) {
  Cost cost;
  cost.flops_gemm = 1'000'000;  // 10 us at 100 GFLOP/s
  cost.bytes_weights = 50'000;  // 5 us at 10 GB/s
  EXPECT_DOUBLE_EQ(operation_roof(cost, 0, 1, roofs(), "f32").ideal_ns, 10'000);
  EXPECT_FALSE(operation_roof(cost, 0, 1, roofs(), "f32").bandwidth);
  cost.bytes_weights = 200'000;  // 20 us
  EXPECT_DOUBLE_EQ(operation_roof(cost, 0, 1, roofs(), "f32").ideal_ns, 20'000);
  EXPECT_TRUE(operation_roof(cost, 0, 1, roofs(), "f32").bandwidth);
  EXPECT_DOUBLE_EQ(operation_roof(cost, 0, 0, roofs(), "f32").ideal_ns, 10'000);  // all cached
  EXPECT_DOUBLE_EQ(operation_roof(cost, 0, 1, roofs(), "f32").intensity, 5);
}

}  // namespace
}  // namespace deformer
