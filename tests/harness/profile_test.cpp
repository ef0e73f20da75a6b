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

}  // namespace
}  // namespace deformer
