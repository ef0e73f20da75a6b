/// Products by CUTLASS, as far as they go without a device: what they are refused for, and that a
/// refusal is said, not thrown.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "backends/cuda/cutlass_product.hpp"
#include "backends/cuda/host/kernel_choice.hpp"

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

/// Names of those that would be measured.
std::vector<std::string_view> tiles_for(const LtProblem& asked, int capability = 90) {
  std::vector<std::string_view> names;
  for (const CutlassTile* tile : cutlass_tiles_for(asked, capability)) {
    names.push_back(tile->name);
  }
  return names;
}

TEST(CutlassProducts, AreForBf16OnHopper) {
  EXPECT_EQ(why_not(problem()), "");
  EXPECT_EQ(why_not(problem(DType::bf16, 1, 8, 8)), "");
  for (const int capability : {80, 89, 100, 120}) {
    EXPECT_THAT(why_not(problem(), capability), HasSubstr("9.0, found"));
    EXPECT_THAT(tiles_for(problem(), capability), IsEmpty());
  }
  for (const DType dtype : {DType::f32, DType::f16, DType::fp8}) {
    EXPECT_THAT(why_not(problem(dtype)), HasSubstr("bf16"));
    EXPECT_THAT(tiles_for(problem(dtype)), IsEmpty());
  }
}

TEST(CutlassProducts, AreRefusedWhatTheyDoNotDo) {
  LtProblem other = problem();
  other.beta = 1.0F;
  EXPECT_THAT(why_not(other), HasSubstr("found bias_gelu_erf onto a residual"));
  for (const Finish finish : {Finish::none, Finish::bias_gelu_tanh}) {
    other = problem();
    other.finish = finish;
    EXPECT_THAT(why_not(other), HasSubstr("expected a bias"));
    EXPECT_THAT(tiles_for(other), IsEmpty());
  }
  EXPECT_THAT(why_not(problem(DType::bf16, 320, 764)), HasSubstr("found 764 and 3072"));
  EXPECT_THAT(why_not(problem(DType::bf16, 320, 768, 3076)), HasSubstr("found 768 and 3076"));
  EXPECT_THAT(why_not(problem(DType::bf16, 0)), HasSubstr("found 0"));
  EXPECT_THAT(why_not(problem(DType::bf16, std::int64_t{1} << 31)), HasSubstr("found 2147483648"));
}

/// BERT-base's at 384 rows: qkv, out, the first of the feed-forward and the second.
TEST(CutlassProducts, OfALayerOfFewRowsAllHaveTiles) {
  const std::size_t one = cutlass_tiles().empty() ? 0 : 1;  // 0: built without its headers
  const auto asked = [](std::int64_t rows, std::int64_t in, std::int64_t out, bool residual) {
    return lt_problem(numbers_of(DType::bf16), rows, in, out, Finish::bias, residual);
  };
  for (const std::int64_t rows : {1, 27, 320, 384, 1024}) {
    for (const LtProblem& each : {asked(rows, 768, 2304, false), asked(rows, 768, 768, true),
                                  asked(rows, 3072, 768, true)}) {
      EXPECT_THAT(tiles_for(each), testing::Each(StartsWith("onto ")));
      EXPECT_THAT(tiles_for(each), SizeIs(3 * one));
    }
    EXPECT_THAT(tiles_for(problem(DType::bf16, rows)), SizeIs(5 * one));
    EXPECT_THAT(tiles_for(problem(DType::bf16, rows)), testing::Each(Not(StartsWith("onto "))));
  }
  EXPECT_THAT(why_not(asked(1025, 768, 2304, false)), HasSubstr("up to 1024 rows"));
  EXPECT_THAT(tiles_for(asked(1025, 768, 2304, false)), IsEmpty());
  EXPECT_THAT(tiles_for(problem(DType::bf16, 1025)), SizeIs(5 * one));
}

TEST(CutlassTiles, HaveNamesOfTheirOwnThatCanBeRemembered) {
  std::set<std::string_view> names;
  for (const CutlassTile& tile : cutlass_tiles()) {
    names.insert(tile.name);
    EXPECT_LE(tile.name.size(), kLongestTileName) << "longer than what is remembered";
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
