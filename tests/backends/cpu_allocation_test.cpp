/// Counts what `run` asks the heap for.

#include <gtest/gtest.h>

#include <cstdio>
#include <numeric>
#include <vector>

#include "backends/cpu/cpu.hpp"
#include "support/allocation_count.hpp"

namespace deformer {
namespace {

std::vector<std::int32_t> ids(std::int64_t count) {
  std::vector<std::int32_t> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

void expect_no_allocations(ModelConfig config, Order order, DType dtype = DType::f32) {
  config.vocab_size = 1000;
  config.head = HeadKind::classes;
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {.dtype = dtype});
  const Shape shape = uniform_shape(2, 9, 70, 2, 3);
  const auto questions = ids(2 * 2 * 9);
  const auto passages = ids(2 * 3 * 70);
  const std::vector<std::byte> cached(static_cast<std::size_t>(70 * config.d_model * 2));
  const std::vector<const std::byte*> pointers(6, cached.data());
  for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
    for (const Detail detail : {Detail::none, Detail::phase, Detail::layer, Detail::op}) {
      const auto session = model->prepare(
          make_plan(config, variant, 1, order), shape,
          {.threads = 2, .cache_dtype = DType::bf16, .keep_layers = {0, 1, 2}, .detail = detail});
      const Inputs inputs{questions, passages, pointers};
      session->run(inputs);  // binds, and makes oneDNN's one-time things
      EXPECT_EQ(allocations_during([&] { session->run(inputs); }), 0)
          << to_string(variant) << to_string(detail);
    }
  }
}

TEST(CpuAllocation, ARunAllocatesNothing) {
  expect_no_allocations(*builtin_model("bert-tiny"), Order::question_first);
}

TEST(CpuAllocation, ARunOfXlnetAllocatesNothing) {
  ModelConfig config = *builtin_model("xlnet-base");
  config.layers = 2;
  config.d_model = 128;
  config.heads = 2;
  config.d_ff = 512;
  expect_no_allocations(config, Order::passage_first);
}

TEST(CpuAllocation, ARunInReducedPrecisionAllocatesNothing) {
  for (const DType dtype : {DType::bf16, DType::int8}) {
    if (const auto reason = make_cpu_backend()->why_not({}, dtype, DType::f32)) {
      std::printf("SKIPPED: %s\n", reason->c_str());
      continue;
    }
    SCOPED_TRACE(to_string(dtype));
    expect_no_allocations(*builtin_model("bert-tiny"), Order::question_first, dtype);
    ModelConfig config = *builtin_model("xlnet-base");
    config.layers = 2;
    config.d_model = 128;
    config.heads = 2;
    config.d_ff = 512;
    expect_no_allocations(config, Order::passage_first, dtype);
  }
}

TEST(CpuAllocation, TheCounterCounts) {
  EXPECT_GE(allocations_during([] {
              std::vector<int> some(100, 1);
              EXPECT_EQ(some.back(), 1);
            }),
            1);
}

}  // namespace
}  // namespace deformer
