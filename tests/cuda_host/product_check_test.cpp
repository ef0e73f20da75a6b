/// What of a product's results is taken for cuBLASLt's, and what for another's.

#include "backends/cuda/host/product_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "backends/cuda/host/encode.hpp"

namespace deformer::cuda {
namespace {

using testing::HasSubstr;

/// A product with operands as those that are timed, in the order of `ins`, and rounded.
struct Trial {
  static constexpr std::int64_t kRows = 24, kOut = 40, kIn = 768;

  explicit Trial(Element rounded) : element(rounded) {
    std::minstd_rand generator;
    std::uniform_real_distribution<float> some(-0.125F, 0.125F);
    for (std::vector<float>* each : {&source, &weights, &bias, &onto}) {
      each->resize(static_cast<std::size_t>(each == &source    ? kRows * kIn
                                            : each == &weights ? kOut * kIn
                                            : each == &bias    ? kOut
                                                               : kRows * kOut));
      for (float& value : *each) {
        value = some(generator);
      }
      *each = rounded_to_element(*each);
    }
  }

  std::vector<float> rounded_to_element(const std::vector<float>& values) const {
    return decode(element, encode(element, values).data(),
                  static_cast<std::int64_t>(values.size()));
  }

  /// With the ins from `first` on, up or down, in f32.
  std::vector<float> result(bool down, std::int64_t first = 0) const {
    std::vector<float> sums = onto;
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t out = 0; out < kOut; ++out) {
        float sum = 0;
        for (std::int64_t i = first; i < kIn; ++i) {
          const std::int64_t in = down ? kIn - 1 - (i - first) : i;
          sum += source[static_cast<std::size_t>(row * kIn + in)] *
                 weights[static_cast<std::size_t>(out * kIn + in)];
        }
        sums[static_cast<std::size_t>(row * kOut + out)] +=
            sum + bias[static_cast<std::size_t>(out)];
      }
    }
    return rounded_to_element(sums);
  }

  Element element;
  std::vector<float> source, weights, bias, onto;
};

TEST(ProductCheck, TakesSumsInAnotherOrder) {
  for (const Element element : {Element::bf16, Element::f16}) {
    const Trial trial(element);
    EXPECT_EQ(difference(element, trial.result(false), trial.result(true)), std::nullopt);
  }
}

TEST(ProductCheck, TakesGeluOfWhatWasRoundedBefore) {
  const Trial trial(Element::bf16);
  std::vector<float> once = trial.result(false);
  std::vector<float> twice = once;
  for (float& value : once) {  // not rounded before: up to half a step beside it
    value *= 1.0F + 1.0F / 300;
  }
  for (std::vector<float>* each : {&once, &twice}) {
    for (float& value : *each) {
      value *= 0.5F * (1.0F + std::erf(value * std::sqrt(0.5F)));
    }
    *each = trial.rounded_to_element(*each);
  }
  EXPECT_EQ(difference(Element::bf16, twice, once), std::nullopt);
}

TEST(ProductCheck, FindsATileOfInsThatIsMissing) {
  for (const Element element : {Element::bf16, Element::f16}) {
    const Trial trial(element);
    EXPECT_THAT(difference(element, trial.result(false), trial.result(false, 16)).value_or(""),
                HasSubstr("of 960 numbers"));
  }
}

TEST(ProductCheck, FindsAMissingBiasAndWhatIsAddedOntoTwice) {
  Trial trial(Element::bf16);
  const std::vector<float> expected = trial.result(false);
  Trial without = trial;
  without.bias.assign(without.bias.size(), 0.0F);
  EXPECT_NE(difference(Element::bf16, expected, without.result(false)), std::nullopt);
  Trial early = trial;
  early.onto.assign(early.onto.size(), 0.0F);
  EXPECT_NE(difference(Element::bf16, expected, early.result(false)), std::nullopt);
}

TEST(ProductCheck, FindsOneNumberThatIsWrongAndWhatIsNone) {
  const std::vector<float> expected(1000, 0.25F);
  for (const float wrong : {0.0F, -0.25F, 0.3F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
    std::vector<float> found = expected;
    found[999] = wrong;
    EXPECT_THAT(difference(Element::bf16, expected, found).value_or(""),
                HasSubstr("in 1 of 1000 numbers"))
        << wrong;
  }
  EXPECT_THAT(difference(Element::bf16, expected, std::vector<float>(999, 0.25F)).value_or(""),
              HasSubstr("999 results, expected 1000"));
  EXPECT_NE(difference(Element::bf16, {}, {}), std::nullopt);
}

TEST(CheckedRows, EndWithTheLastAndAreAMillionNumbersAtMost) {
  for (const std::int64_t rows : {1, 27, 384, 385, 12288, 49152}) {
    for (const std::int64_t width : {4, 768, 4096}) {
      const CheckedRows checked = checked_rows(rows, width);
      EXPECT_GE(checked.first, 0);
      EXPECT_LT(checked.first, checked.step);
      EXPECT_EQ(checked.first + (checked.count - 1) * checked.step, rows - 1);
      EXPECT_LE(checked.count * width, 1 << 20) << rows << " x " << width;
    }
  }
  EXPECT_EQ(checked_rows(384, 2304).step, 1);
  EXPECT_EQ(checked_rows(0, 768).count, 0);
}

}  // namespace
}  // namespace deformer::cuda
