#include "backends/cpu/gemm_candidates.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace deformer {
namespace {

// measure_gemm checks the product itself, so a candidate that packs or cuts wrongly is "missing".

TEST(GemmCandidates, MultiplyRightlyAtShapesOfEveryKind) {
  const GemmShape shapes[] = {{64, 64, 64}, {1, 128, 96}, {27, 192, 768}, {130, 64, 1000}};
  for (const GemmCandidate& candidate : gemm_candidates()) {
    for (const GemmShape& shape : shapes) {
      const GemmRoof roof = measure_gemm(candidate, shape, 2, 1'000'000);
      if (candidate.library.find("AMX") != std::string::npos && shape.k % 32 != 0) {
        EXPECT_EQ(roof.missing, "k and n: expected multiples of 32");
        continue;
      }
      EXPECT_EQ(roof.missing, "") << candidate.library << ' ' << shape.m << 'x' << shape.n << 'x'
                                  << shape.k;
      EXPECT_GT(roof.best_gflops, 0);
    }
  }
}

TEST(GemmCandidates, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const GemmCandidate& candidate : gemm_candidates()) {
    EXPECT_TRUE(names.insert(candidate.library).second) << candidate.library;
  }
  EXPECT_GE(names.size(), 3U);
}

}  // namespace
}  // namespace deformer
