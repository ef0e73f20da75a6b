/// The GELU of fused products, on the host, against the error function.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/cuda/kernels/gelu_odds.cuh"
#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {
namespace {

double exact(double x) {
  return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

TEST(GeluByOdds, IsWithinAThirdOfAThousandthOfErfGelu) {
  double worst = 0.0;
  for (float x = -12.0F; x <= 12.0F; x += 1.0F / 4096) {
    const double wanted = exact(static_cast<double>(x));
    const double error = std::abs(static_cast<double>(gelu_erf_by_odds(x)) - wanted);
    worst = std::max(worst, error / std::max(std::abs(wanted), 1e-4));
  }
  EXPECT_LT(worst, 0x1p-12);
  EXPECT_GT(worst, 0x1p-14) << "tighter than its description says";
}

/// Rounded to bf16 it is never further off than to the neighbour of what exact GELU rounds to.
TEST(GeluByOdds, RoundsToBf16AsErfGeluOrItsNeighbour) {
  for (float x = -4.0F; x <= 8.0F; x += 1.0F / 4096) {
    const auto got = static_cast<int>(Rounded<Bf16>::from(gelu_erf_by_odds(x)).bits);
    const auto wanted = static_cast<int>(
        Rounded<Bf16>::from(static_cast<float>(exact(static_cast<double>(x)))).bits);
    ASSERT_LE(std::abs(got - wanted), 1) << x;
  }
}

TEST(GeluByOdds, EndsAsGeluDoes) {
  EXPECT_EQ(gelu_erf_by_odds(0.0F), 0.0F);
  for (const float large : {7.0F, 100.0F, 1e30F}) {
    EXPECT_EQ(gelu_erf_by_odds(large), large);
    EXPECT_LE(std::abs(gelu_erf_by_odds(-large)), 1e-7F) << large;
  }
  EXPECT_TRUE(std::isnan(gelu_erf_by_odds(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace deformer::cuda
