/// What is remembered of who does a product.

#include "backends/cuda/host/kernel_choice.hpp"

#include <gtest/gtest.h>

#include <set>

namespace deformer::cuda {
namespace {

LtProblem problem(std::int64_t rows, Finish finish, bool residual) {
  return lt_problem(numbers_of(DType::bf16), rows, 768, 3072, finish, residual);
}

TEST(KernelChoice, IsRememberedByName) {
  for (const KernelChoice& choice :
       {KernelChoice{Route::lt, ""}, KernelChoice{Route::skinny, ""},
        KernelChoice{Route::cutlass, "onto 64x48x128 pingpong 2x2"},
        KernelChoice{Route::cutlass, std::string(kLongestTileName, 'x')}}) {
    const Algorithm known = remembered(choice, 4.5);
    EXPECT_EQ(choice_in(known), choice);
    EXPECT_EQ(known.time_us, 4.5);
  }
}

TEST(KernelChoice, IsRememberedForItsFinishAndApartFromCublasLtsAlgorithm) {
  std::set<std::string> names;
  std::size_t asked = 0;
  for (const Finish finish : {Finish::none, Finish::bias, Finish::bias_gelu_erf}) {
    for (const bool residual : {false, true}) {
      const LtProblem each = problem(320, finish, residual);
      for (const std::string& name :
           {bucket_name(each), choice_bucket(each, false), choice_bucket(each, true)}) {
        names.insert(name);
        ++asked;
      }
    }
  }
  EXPECT_EQ(names.size(), asked);
}

/// Files of versions before this one hold "kernels 3: ...", of other lists of kernels.
TEST(KernelChoice, OfAnotherVersionIsNotFound) {
  const LtProblem gelu = problem(320, Finish::bias_gelu_erf, false);
  AlgorithmMemory memory("a device", "a library", nullptr);
  for (const int version : {1, 2, 3}) {
    memory.remember("kernels " + std::to_string(version) + ": " + bucket_name(gelu),
                    remembered({Route::cutlass, "128x96x64 cooperative"}, 1));
  }
  EXPECT_FALSE(memory.find(choice_bucket(gelu, false)));
  memory.remember(choice_bucket(gelu, false), remembered({Route::cutlass, "a tile"}, 1));
  EXPECT_TRUE(memory.find(choice_bucket(gelu, false)));
  EXPECT_FALSE(memory.find(choice_bucket(gelu, true)));
}

}  // namespace
}  // namespace deformer::cuda
