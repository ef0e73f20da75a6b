#include "model/relative_positions.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace deformer {
namespace {

std::vector<float> row(std::int64_t distance, std::size_t width) {
  std::vector<float> values(width);
  relative_position(distance, values);
  return values;
}

TEST(RelativePosition, IsSinesThenCosines) {
  const auto values = row(3, 4);
  EXPECT_FLOAT_EQ(values[0], std::sin(3.0F));
  EXPECT_FLOAT_EQ(values[1], std::sin(0.03F));
  EXPECT_FLOAT_EQ(values[2], std::cos(3.0F));
  EXPECT_FLOAT_EQ(values[3], std::cos(0.03F));
}

TEST(RelativePosition, KnowsBeforeFromBehind) {
  const auto ahead = row(7, 8);
  const auto behind = row(-7, 8);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(ahead[i], -behind[i]);
    EXPECT_EQ(ahead[4 + i], behind[4 + i]);
  }
}

// Angles in float64 would be closer to the truth and farther from every checkpoint's training.
TEST(RelativePosition, IsRoundedAsF32IsAt320Tokens) {
  double largest = 0;
  const auto values = row(319, 768);
  for (std::size_t i = 0; i < 384; ++i) {
    const double angle = 319.0 / std::pow(10000.0, 2.0 * static_cast<double>(i) / 768.0);
    largest = std::max(largest, std::abs(std::sin(angle) - double{values[i]}));
  }
  EXPECT_GT(largest, 5e-6);
  EXPECT_LT(largest, 4e-5);
}

TEST(RelativePosition, OfOddWidthEndsInASine) {
  EXPECT_FLOAT_EQ(row(1, 3)[1], std::sin(1.0F / std::pow(10000.0F, 2.0F / 3.0F)));
  EXPECT_FLOAT_EQ(row(1, 3)[2], std::cos(1.0F));
}

}  // namespace
}  // namespace deformer
