#include "harness/operation_roof.hpp"

#include <gtest/gtest.h>

#include "model/plan.hpp"

namespace deformer {
namespace {

ArithmeticRoof peak(const char* dtype, const char* isa, double gflops) {
  return {.dtype = dtype,
          .isa = isa,
          .instruction = "x",
          .threads = 2,
          .best_gflops = gflops,
          .median_gflops = gflops,
          .missing = ""};
}

BandwidthRoof level(const char* name, std::int64_t working_set_bytes, double gb_per_s) {
  BandwidthRoof roof;
  roof.level = name;
  roof.threads = 2;
  roof.working_set_bytes = working_set_bytes;
  roof.rate.read_gb_per_s = gb_per_s;
  roof.rate.copy_gb_per_s = gb_per_s;
  return roof;
}

/// f32 at 100 GFLOP/s, bf16 by tiles at 1000; L2 of 2 MB at 200 GB/s, L3 of 64 MB at 40, memory at
/// 10.
Roofs roofs() {
  Roofs roofs;
  roofs.threads = 2;
  roofs.arithmetic = {peak("f32", "avx512f", 100), peak("bf16", "amx_bf16", 1000),
                      peak("int8", "avx512_vnni", 400)};
  roofs.bandwidth = {level("L2", 1'000'000, 200), level("L3", 32'000'000, 40),
                     level("memory", 256'000'000, 10)};
  return roofs;
}

TEST(OperationRoof, ComputeOrBytesWhicheverTakesLonger) {
  OperationWork work;
  work.product_flops = 1'000'000;  // 10 us at 100 GFLOP/s
  work.weight_bytes = 50'000;      // 5 us at 10 GB/s
  EXPECT_DOUBLE_EQ(operation_roof(work, 1, roofs(), "f32").ideal_ns, 10'000);
  EXPECT_FALSE(operation_roof(work, 1, roofs(), "f32").bandwidth);
  work.weight_bytes = 200'000;  // 20 us
  EXPECT_DOUBLE_EQ(operation_roof(work, 1, roofs(), "f32").ideal_ns, 20'000);
  EXPECT_TRUE(operation_roof(work, 1, roofs(), "f32").bandwidth);
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "f32").ideal_ns, 10'000);  // all cached
  EXPECT_DOUBLE_EQ(operation_roof(work, 1, roofs(), "f32").intensity, 5);
}

TEST(OperationRoof, VectorsTakeTurnsAtProductsAndElementsTilesLeaveThemTheElements) {
  OperationWork work;
  work.product_flops = 1'000'000;
  work.element_flops = 50'000;
  work.exponentials = 10'000;
  const double elements_ns = (50'000 + 11 * 10'000) / 100.0;
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "f32").ideal_ns, 10'000 + elements_ns);
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "int8").ideal_ns, 2'500 + elements_ns);
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "bf16").ideal_ns, elements_ns);
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "bf16").products_ns, 1'000);
}

TEST(OperationRoof, F32ByTilesIsItsRoofWhoeverServesAndVectorsStandBeside) {
  Roofs tiles = roofs();
  tiles.arithmetic.push_back(peak("f32", "amx_bf16", 400));
  OperationWork work;
  work.product_flops = 1'000'000;
  work.element_flops = 50'000;
  const OperationRoof roof = operation_roof(work, 0, tiles, "f32");
  EXPECT_DOUBLE_EQ(roof.products_ns, 2'500);
  EXPECT_DOUBLE_EQ(roof.products_vector_ns, 10'000);
  EXPECT_DOUBLE_EQ(roof.elements_ns, 500);  // exponentials and such stay with the vectors, ...
  EXPECT_DOUBLE_EQ(roof.ideal_ns, 2'500);   // which the tiles leave free
  EXPECT_EQ(roof.products_by, "AMX, three bf16 parts: AMX bf16 / 6");
  EXPECT_EQ(operation_roof(work, 0, roofs(), "f32").products_by, "FMA");
}

TEST(OperationRoof, AStoreIsReadFromTheLevelThatHoldsAllOfIt) {
  OperationWork work;
  work.store.bytes = 400'000;
  const auto ideal_ns = [&](double among_bytes) {
    work.store.among_bytes = among_bytes;
    return operation_roof(work, 1, roofs(), "f32").ideal_ns;
  };
  EXPECT_DOUBLE_EQ(ideal_ns(2'000'000), 2'000);    // L2
  EXPECT_DOUBLE_EQ(ideal_ns(2'000'001), 10'000);   // L3
  EXPECT_DOUBLE_EQ(ideal_ns(64'000'001), 40'000);  // memory
  EXPECT_DOUBLE_EQ(operation_roof(work, 0, roofs(), "f32").bytes_memory, 400'000);
}

TEST(OperationRoof, ActivationsComeFromTheLevelThatHoldsThoseOfOneRun) {
  OperationWork work;
  work.activations = {{12'000'000, 1'000'000}, {6'000'000, 3'000'000}};  // 12 runs in L2, 2 in L3
  EXPECT_DOUBLE_EQ(operation_roof(work, 1, roofs(), "f32").ideal_ns, 60'000 + 150'000);
}

TEST(OperationWork, OfACachedForwardByItsPhases) {
  const ModelConfig config = *builtin_model("bert-tiny");  // 2 layers, d 128, 2 heads
  const Shape shape = uniform_shape(1, 10, 90);
  const PlanCost cost =
      cost_of(config, make_plan(config, Variant::cached, 1, Order::question_first), shape, {});
  const Stores stores{.pool_bytes = 5e6};
  const auto work = [&](const char* name) {
    return operation_work(config, shape, cost, name, stores);
  };
  const OperationWork attention = work("attention");
  EXPECT_DOUBLE_EQ(attention.exponentials, 2 * (10 * 10 + 100 * 100));
  EXPECT_DOUBLE_EQ(attention.product_flops, 4 * 128 * (10 * 10 + 100 * 100));
  ASSERT_EQ(attention.activations.size(), 2U);
  EXPECT_DOUBLE_EQ(attention.activations[1].bytes, 4 * 100 * 128 * 4);
  const OperationWork load = work("load");
  EXPECT_DOUBLE_EQ(load.store.bytes, 90 * 128 * 4);
  EXPECT_DOUBLE_EQ(load.store.among_bytes, 5e6);
  EXPECT_DOUBLE_EQ(load.activations.at(0).bytes, 90 * 128 * 4);
  const OperationWork embed = work("embed");
  EXPECT_DOUBLE_EQ(embed.weight_bytes, 0);
  EXPECT_GT(embed.store.bytes, 10 * 128 * 4);
  EXPECT_DOUBLE_EQ(embed.store.among_bytes, 4.0 * 128 * (30522 + 512 + 2));
  EXPECT_DOUBLE_EQ(work("ffn1").weight_bytes, 2 * 4.0 * (128 * 512 + 512));
}

TEST(OperationWork, WithSeveralLayersActivationsAreThoseOfOne) {
  ModelConfig config = *builtin_model("bert-tiny");
  const Shape shape = uniform_shape(1, 10, 90);
  const PlanCost cost =
      cost_of(config, make_plan(config, Variant::full, 0, Order::question_first), shape, {});
  const OperationWork norm = operation_work(config, shape, cost, "norm1", {});
  ASSERT_EQ(norm.activations.size(), 1U);
  EXPECT_DOUBLE_EQ(norm.activations[0].bytes, 2 * norm.activations[0].among_bytes);
  EXPECT_DOUBLE_EQ(norm.activations[0].among_bytes, 2 * 100 * 128 * 4);
}

}  // namespace
}  // namespace deformer
