#include "profilers/arithmetic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "profilers/machine.hpp"

namespace deformer {
namespace {

double best_rate(const ArithmeticLoop& loop, int threads) {
  const std::int64_t iterations = iterations_lasting(loop, 100'000);
  double best = 0;
  for (int i = 0; i < 30; ++i) best = std::max(best, burst_rate(loop, threads, iterations));
  return best;
}

TEST(ArithmeticLoops, EveryLoopRunsAtARateAProcessorCanHave) {
  for (const ArithmeticLoop& loop : arithmetic_loops()) {
    const double rate = best_rate(loop, 1);
    RecordProperty(std::string(loop.dtype) + " " + loop.isa, std::to_string(rate * 1e-9));
    EXPECT_GT(rate, 0.1e9) << loop.instruction;
    // No core starts more than 2 instructions with 512 bits of products a cycle, at 6 GHz.
    EXPECT_LT(rate, loop.operations / 12 * 2 * 6e9) << loop.dtype << ' ' << loop.isa;
  }
}

TEST(ArithmeticLoops, AreGroupedByDtypeAndEachIsaStandsOnce) {
  std::set<std::string> seen;
  for (const ArithmeticLoop& loop : arithmetic_loops()) {
    EXPECT_TRUE(seen.insert(std::string(loop.dtype) + loop.isa).second);
  }
  ASSERT_NE(widest_loop("f32"), nullptr);
  EXPECT_EQ(widest_loop("f32"), &arithmetic_loops().front());
}

// Issued side by side the narrow loop can't do more: a wide instruction is at least as good as the
// narrow one it replaces.
TEST(ArithmeticLoops, TheWidestIsNotSlowerThanTheNarrowest) {
  for (const char* dtype : {"f32", "int8"}) {
    const ArithmeticLoop* wide = widest_loop(dtype);
    if (wide == nullptr) continue;
    for (const ArithmeticLoop& loop : arithmetic_loops()) {
      if (loop.dtype != std::string(dtype)) continue;
      EXPECT_GT(best_rate(*wide, 1), 0.7 * best_rate(loop, 1)) << dtype << ' ' << loop.isa;
    }
  }
}

TEST(ArithmeticLoops, NarrowTypesAreNotSlowerThanF32) {
  const double f32 = best_rate(*widest_loop("f32"), 1);
  for (const char* dtype : {"bf16", "int8"}) {
    if (const ArithmeticLoop* loop = widest_loop(dtype)) {
      EXPECT_GT(best_rate(*loop, 1), 0.9 * f32) << dtype;
    }
  }
}

TEST(ArithmeticLoops, SaysWhyATypeHasNone) {
  EXPECT_EQ(why_no_loop("f32"), "");
  EXPECT_EQ(widest_loop("fp8"), nullptr);
  EXPECT_NE(why_no_loop("fp8"), "");
  for (const char* dtype : {"bf16", "int8"}) {
    EXPECT_EQ(why_no_loop(dtype).empty(), widest_loop(dtype) != nullptr) << dtype;
  }
}

TEST(IterationsLasting, GrowsWithTheTime) {
  const ArithmeticLoop& loop = *widest_loop("f32");
  EXPECT_GT(iterations_lasting(loop, 400'000), iterations_lasting(loop, 50'000));
  EXPECT_GE(iterations_lasting(loop, 0), 1);
}

}  // namespace
}  // namespace deformer
