/// Products by CUTLASS, as far as they go without a device: what they are refused for, and that a
/// refusal is said, not thrown.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "backends/cuda/cutlass_product.hpp"

namespace deformer::cuda {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

LtProblem problem(DType dtype = DType::bf16, std::int64_t rows = 320, std::int64_t in = 768,
                  std::int64_t out = 3072) {
  return lt_problem(numbers_of(dtype), rows, in, out, Finish::bias_gelu_erf, false);
}

std::string why_not(const LtProblem& asked, int capability = 90) {
  return cutlass_why_not(asked, capability).value_or("");
}

TEST(CutlassProducts, AreForBf16WithErfGeluOnHopper) {
  EXPECT_EQ(why_not(problem()), "");
  EXPECT_EQ(why_not(problem(DType::bf16, 1, 8, 8)), "");
  for (const int capability : {80, 89, 100, 120}) {
    EXPECT_THAT(why_not(problem(), capability), HasSubstr("9.0, found"));
  }
  for (const DType dtype : {DType::f32, DType::f16, DType::fp8}) {
    EXPECT_THAT(why_not(problem(dtype)), HasSubstr("bf16"));
  }
}

TEST(CutlassProducts, AreRefusedWhatTheyDoNotDo) {
  LtProblem other = problem();
  other.beta = 1.0F;
  EXPECT_THAT(why_not(other), HasSubstr("onto nothing"));
  for (const Finish finish : {Finish::none, Finish::bias, Finish::bias_gelu_tanh}) {
    other = problem();
    other.finish = finish;
    EXPECT_THAT(why_not(other), HasSubstr("erf GELU"));
  }
  EXPECT_THAT(why_not(problem(DType::bf16, 320, 764)), HasSubstr("found 764 and 3072"));
  EXPECT_THAT(why_not(problem(DType::bf16, 320, 768, 3076)), HasSubstr("found 768 and 3076"));
  EXPECT_THAT(why_not(problem(DType::bf16, 0)), HasSubstr("found 0"));
  EXPECT_THAT(why_not(problem(DType::bf16, std::int64_t{1} << 31)), HasSubstr("found 2147483648"));
}

TEST(CutlassTiles, HaveNamesOfTheirOwnThatCanBeRemembered) {
  std::set<std::string_view> names;
  for (const CutlassTile& tile : cutlass_tiles()) {
    names.insert(tile.name);
    EXPECT_LT(tile.name.size(), 63U) << "longer than what is remembered";
  }
  EXPECT_THAT(names, SizeIs(cutlass_tiles().size()));
  EXPECT_THAT(describe_cutlass(), AnyOf(StartsWith("CUTLASS "), "built without CUTLASS"));
}

/// Without a device, as with a pointer that can't be loaded from, a tile says so and throws
/// nothing.
TEST(CutlassTiles, SayWhatRefused) {
  alignas(16) static std::byte memory[64];
  for (const CutlassTile& tile : cutlass_tiles()) {
    ProductArgs args{problem(), memory + 2, memory, memory, memory, nullptr, nullptr};
    EXPECT_THAT(tile.queue(args, nullptr, 0, {.stream = nullptr}), HasSubstr("16 bytes"));
    args.weights = memory;
    args.problem = problem(DType::bf16, 320, 764);
    EXPECT_THAT(tile.queue(args, nullptr, 0, {.stream = nullptr}), StartsWith("the problem"));
  }
}

}  // namespace
}  // namespace deformer::cuda
