/// What surrounds narrow products, on every instruction set that this processor has.

#include "backends/cpu/narrow_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/backends/bf16_numbers.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

constexpr std::byte kUntouched{0x55};

std::vector<float> noise(std::int64_t count, float scale, float mean = 0.0F) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal(mean, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    value = normal(engine);
  }
  return values;
}

/// One row.
kernels::WideRows one_row(const std::vector<float>& x) {
  const auto columns = static_cast<std::int64_t>(x.size());
  return {reinterpret_cast<const std::byte*>(x.data()), columns * 4, 1, columns};
}

// --- f32 -> bf16

/// All sixteen upper bits, each with lower ones around every decision.
std::vector<std::uint32_t> telling_patterns() {
  std::vector<std::uint32_t> patterns;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      patterns.push_back(upper << 16 | lower);
    }
  }
  return patterns;
}

/// To nearest, ties to even; for numbers.
std::uint32_t nearest_even(std::uint32_t bits) {
  const std::uint32_t kept = bits >> 16;
  const std::uint32_t rest = bits & 0xFFFFU;
  return rest > 0x8000U || (rest == 0x8000U && (kept & 1U) != 0) ? kept + 1 : kept;
}

TEST(NarrowRows, Bf16IsRoundedToNearestEvenAndNansStay) {
  const auto patterns = telling_patterns();
  std::vector<float> x(patterns.size());
  std::ranges::transform(patterns, x.begin(), [](auto bits) { return std::bit_cast<float>(bits); });
  on_every_narrow_target([&] {
    std::vector<std::uint16_t> out(x.size() + 32);
    kernels::to_bf16(one_row(x), reinterpret_cast<std::byte*>(out.data()),
                     static_cast<std::int64_t>(out.size()) * 2);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::uint32_t bits = patterns[i];
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(std::bit_cast<float>(std::uint32_t{out[i]} << 16)))
            << std::hex << bits;
        continue;
      }
      const bool subnormal = std::fpclassify(x[i]) == FP_SUBNORMAL;
      if (subnormal && out[i] == (bits >> 31) << 15) {
        continue;  // AVX512_BF16 makes a zero of it
      }
      ASSERT_EQ(out[i], nearest_even(bits)) << std::hex << bits;
    }
  });
}

TEST(NarrowRows, Bf16RowsEndInZerosUpToAWholeLine) {
  on_every_narrow_target([] {
    for (const std::int64_t columns : {1, 15, 16, 17, 31, 32, 33, 63, 100}) {
      const std::int64_t rows = 3;
      const std::int64_t row_bytes = narrow_row_bytes(columns, 2) + 64;
      const std::int64_t stride = columns + 5;
      const auto x = noise(rows * stride, 1.0F);
      std::vector<std::byte> out(static_cast<std::size_t>(rows * row_bytes), kUntouched);
      kernels::to_bf16({reinterpret_cast<const std::byte*>(x.data()), stride * 4, rows, columns},
                       out.data(), row_bytes);
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t i = 0; i < row_bytes / 2; ++i) {
          const std::byte* at = out.data() + row * row_bytes + i * 2;
          if (i < columns) {
            ASSERT_EQ(from_bf16(at),
                      to_nearest_bf16(x[static_cast<std::size_t>(row * stride + i)]));
          } else {
            ASSERT_EQ(at[0], i < (columns + 31) / 32 * 32 ? std::byte{0} : kUntouched)
                << columns << " columns, at " << i;
          }
        }
      }
    }
  });
}

// --- f32 and bf16 -> u8

struct Quantised {
  std::vector<std::byte> row;
  RowRange range;
};

/// Of f32, and of the bf16 row that has the same values where `bf16` says so.
Quantised quantise(const std::vector<float>& x, bool bf16) {
  const auto columns = static_cast<std::int64_t>(x.size());
  const std::int64_t row_bytes = narrow_row_bytes(columns, 1) + 64;
  Quantised result{std::vector<std::byte>(static_cast<std::size_t>(row_bytes), kUntouched), {}};
  if (!bf16) {
    kernels::f32_to_u8(one_row(x), result.row.data(), row_bytes, &result.range);
    return result;
  }
  std::vector<std::byte> narrow(x.size() * 2);
  codec::encode_bf16(x.data(), columns, narrow.data());
  kernels::bf16_to_u8({narrow.data(), columns * 2, 1, columns}, result.row.data(), row_bytes,
                      &result.range);
  return result;
}

void expect_half_a_step(const std::vector<float>& x, bool bf16) {
  const Quantised found = quantise(x, bf16);
  const double step = found.range.step;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double u = std::to_integer<int>(found.row[i]);
    const double expected = bf16 ? to_nearest_bf16(x[i]) : x[i];
    ASSERT_LE(std::abs(found.range.lowest + step * u - expected), 0.5001 * step)
        << "at " << i << " of " << x.size();
  }
  const std::size_t whole = (x.size() + 63) / 64 * 64;
  for (std::size_t i = x.size(); i < found.row.size(); ++i) {
    ASSERT_EQ(found.row[i], i < whole ? std::byte{0} : kUntouched)
        << x.size() << " columns, at " << i;
  }
}

TEST(NarrowRows, EightBitsAreWithinHalfAStep) {
  on_every_narrow_target([] {
    for (const bool bf16 : {false, true}) {
      for (const std::int64_t columns : {1, 15, 17, 31, 33, 64, 100, 768, 777}) {
        expect_half_a_step(noise(columns, 1.0F), bf16);
        expect_half_a_step(noise(columns, 0.1F, 5.0F), bf16);  // 0 is out of range
        expect_half_a_step(noise(columns, 1e30F), bf16);
        expect_half_a_step(noise(columns, 1e-30F, -1e-30F), bf16);
      }
    }
  });
}

TEST(NarrowRows, EightBitsOfBf16AreThoseOfTheSameNumbersInF32) {
  on_every_narrow_target([] {
    for (const std::int64_t columns : {1, 31, 32, 65, 96, 100, 128, 777}) {
      for (const float offset : {0.0F, 5.0F, -5.0F}) {
        auto x = noise(columns, 1.0F, offset);
        for (float& value : x) {
          value = to_nearest_bf16(value);
        }
        const Quantised narrow = quantise(x, true);
        const Quantised wide = quantise(x, false);
        EXPECT_EQ(narrow.row, wide.row) << columns;
        EXPECT_EQ(narrow.range.lowest, wide.range.lowest);
        EXPECT_EQ(narrow.range.step, wide.range.step);
      }
    }
  });
}

TEST(NarrowRows, EightBitsUseTheWholeRange) {
  on_every_narrow_target([] {
    auto x = noise(100, 1.0F);
    x[99] = 9.0F;  // both extremes beyond the last whole vector, too
    x[98] = -7.0F;
    const Quantised found = quantise(x, false);
    EXPECT_EQ(found.row[99], std::byte{255});
    EXPECT_EQ(found.row[98], std::byte{0});
    EXPECT_EQ(found.range.lowest, -7.0F);
    EXPECT_FLOAT_EQ(found.range.step, 16.0F / 255.0F);
  });
}

TEST(NarrowRows, AConstantRowIsExact) {
  on_every_narrow_target([] {
    for (const float value : {0.0F, -0.75F, 3e38F, 1e-45F}) {
      const Quantised found = quantise(std::vector<float>(77, value), false);
      for (std::size_t i = 0; i < 77; ++i) {
        const auto u = static_cast<float>(std::to_integer<int>(found.row[i]));
        ASSERT_EQ(found.range.lowest + found.range.step * u, value);
      }
    }
  });
}

TEST(NarrowRows, ARowThatIsNotFiniteSaysSoByItsStep) {
  on_every_narrow_target([] {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      for (const std::size_t at : {0U, 40U, 99U}) {
        for (const bool bf16 : {false, true}) {
          auto x = noise(100, 1.0F);
          EXPECT_FALSE(std::isnan(quantise(x, bf16).range.step));
          x[at] = bad;
          EXPECT_TRUE(std::isnan(quantise(x, bf16).range.step)) << bad << " at " << at;
        }
      }
    }
  });
}

// --- sums -> f32 and bf16

/// A block of sums with all that makes numbers of them, and these in float64.
struct Sums {
  std::vector<float> floats;
  std::vector<std::int32_t> integers;
  std::vector<float> bias = noise(kNarrowColumns, 1.0F);
  std::vector<float> scale = noise(kNarrowColumns, 1e-3F);
  std::vector<float> column_sum = noise(kNarrowColumns, 0.2F);
  std::vector<RowRange> ranges;
  bool integer;
  std::int64_t rows;

  Sums(std::int64_t count, bool as_integers)
      : floats(noise(count * kNarrowColumns, 3.0F)), integer(as_integers), rows(count) {
    for (const float value : floats) {
      integers.push_back(static_cast<std::int32_t>(value * 5e6F));
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      ranges.push_back({1e-4F * static_cast<float>(row + 1), static_cast<float>(row) - 3.0F});
    }
  }

  kernels::NarrowSums view() const {
    kernels::NarrowSums sums;
    sums.rows = rows;
    sums.bias = bias.data();
    sums.sums = floats.data();
    if (integer) {
      sums.sums = integers.data();
      sums.column_scale = scale.data();
      sums.column_sum = column_sum.data();
      sums.ranges = ranges.data();
    }
    return sums;
  }

  double value(std::int64_t row, std::int64_t column) const {
    const auto i = static_cast<std::size_t>(column);
    const auto at = static_cast<std::size_t>(row * kNarrowColumns + column);
    if (!integer) {
      return static_cast<double>(floats[at]) + bias[i];
    }
    const RowRange range = ranges[static_cast<std::size_t>(row)];
    return static_cast<double>(integers[at]) * range.step * scale[i] +
           static_cast<double>(range.lowest) * column_sum[i] + bias[i];
  }
  /// What f32 may be off by: every term is rounded, however small their sum.
  double slack(std::int64_t row, std::int64_t column) const {
    const auto i = static_cast<std::size_t>(column);
    const auto at = static_cast<std::size_t>(row * kNarrowColumns + column);
    const RowRange range = ranges[static_cast<std::size_t>(row)];
    const double terms = integer
                             ? std::abs(static_cast<double>(integers[at]) * range.step * scale[i]) +
                                   std::abs(static_cast<double>(range.lowest) * column_sum[i])
                             : std::abs(floats[at]);
    return 4 * 0x1p-24 * (terms + std::abs(bias[i]));
  }
};

void expect_widened(const Sums& sums, std::int64_t columns, bool added) {
  const std::int64_t stride = kNarrowColumns + 16;
  auto out = noise(sums.rows * stride, 1.0F);
  const auto before = out;
  auto view = sums.view();
  view.columns = columns;
  added ? kernels::widen_added(view, out.data(), stride) : kernels::widen(view, out.data(), stride);
  for (std::int64_t row = 0; row < sums.rows; ++row) {
    for (std::int64_t column = 0; column < stride; ++column) {
      const auto at = static_cast<std::size_t>(row * stride + column);
      if (column >= columns) {
        ASSERT_EQ(out[at], before[at]) << "written beyond column " << columns;
        continue;
      }
      const double base = added ? before[at] : 0.0;
      ASSERT_NEAR(out[at], base + sums.value(row, column),
                  sums.slack(row, column) + 0x1p-23 * std::abs(base))
          << row << ", " << column;
    }
  }
}

TEST(NarrowRows, SumsAreWidenedWithTheirScalesAndBiases) {
  on_every_narrow_target([] {
    for (const std::int64_t rows : {1, 5, 33}) {
      for (const bool integer : {false, true}) {
        for (const std::int64_t columns : {16, 32}) {
          expect_widened(Sums(rows, integer), columns, false);
          expect_widened(Sums(rows, integer), columns, true);
        }
      }
    }
  });
}

double gelu_erf(double x) {
  return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
}

double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

double activated(NarrowActivation activation, double x) {
  switch (activation) {
    case NarrowActivation::gelu_erf:
      return gelu_erf(x);
    case NarrowActivation::gelu_tanh:
      return gelu_tanh(x);
    case NarrowActivation::none:
      break;
  }
  return x;
}

/// Rounding keeps order: what is within `error` of y becomes what lies between these two.
void expect_rounded(float found, double y, double error) {
  ASSERT_GE(found, to_nearest_bf16(y - error)) << "instead of " << y;
  ASSERT_LE(found, to_nearest_bf16(y + error)) << "instead of " << y;
}

constexpr NarrowActivation kActivations[] = {NarrowActivation::none, NarrowActivation::gelu_erf,
                                             NarrowActivation::gelu_tanh};

double gelu_error(double x) {
  return std::max(5e-5, 6e-6 * std::abs(x));
}

TEST(NarrowRows, SumsBecomeBf16WithTheirScalesAndBiases) {
  on_every_narrow_target([] {
    for (const bool integer : {false, true}) {
      for (const NarrowActivation activation : kActivations) {
        const Sums sums(19, integer);
        const std::int64_t row_bytes = kNarrowColumns * 2 + 64;
        std::vector<std::byte> out(static_cast<std::size_t>(19 * row_bytes), kUntouched);
        kernels::widen_to_bf16(sums.view(), activation, out.data(), row_bytes);
        for (std::int64_t row = 0; row < 19; ++row) {
          for (std::int64_t column = 0; column < kNarrowColumns; ++column) {
            const double x = sums.value(row, column);
            // GELU is steeper than 1 by a tenth, at most.
            const double error = 1.13 * sums.slack(row, column) +
                                 (activation == NarrowActivation::none ? 0.0 : gelu_error(x));
            expect_rounded(from_bf16(out.data() + row * row_bytes + column * 2),
                           activated(activation, x), error);
          }
          ASSERT_EQ(out[static_cast<std::size_t>(row * row_bytes + kNarrowColumns * 2)],
                    kUntouched);
        }
      }
    }
  });
}

TEST(NarrowRows, GeluIsWithinItsStatedError) {
  const std::vector<float> no_bias(kNarrowColumns, 0.0F);
  on_every_narrow_target([&] {
    for (const NarrowActivation activation : kActivations) {
      for (std::int64_t block = -250; block < 250; ++block) {  // -8 to 8 by thousandths
        std::vector<float> x(kNarrowColumns);
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] =
              static_cast<float>(block * kNarrowColumns + static_cast<std::int64_t>(i)) / 1000.0F;
        }
        kernels::NarrowSums sums;
        sums.sums = x.data();
        sums.rows = 1;
        sums.bias = no_bias.data();
        std::vector<std::byte> out(kNarrowColumns * 2);
        kernels::widen_to_bf16(sums, activation, out.data(), kNarrowColumns * 2);
        for (std::size_t i = 0; i < x.size(); ++i) {
          expect_rounded(from_bf16(out.data() + 2 * i), activated(activation, x[i]),
                         activation == NarrowActivation::none ? 0.0 : gelu_error(x[i]));
        }
      }
    }
  });
}

// Far out the polynomial's rest, 5e-6 of x at most, is multiplied by x.
TEST(NarrowRows, GeluOfHugeNumbersIsTheNumberOrAlmostNothing) {
  const std::vector<float> no_bias(kNarrowColumns, 0.0F);
  on_every_narrow_target([&] {
    for (const NarrowActivation activation :
         {NarrowActivation::gelu_erf, NarrowActivation::gelu_tanh}) {
      std::vector<float> x(kNarrowColumns, 1e6F);
      x[1] = -1e6F;
      x[2] = std::numeric_limits<float>::quiet_NaN();
      x[3] = std::numeric_limits<float>::infinity();
      kernels::NarrowSums sums;
      sums.sums = x.data();
      sums.rows = 1;
      sums.bias = no_bias.data();
      std::vector<std::byte> out(kNarrowColumns * 2);
      kernels::widen_to_bf16(sums, activation, out.data(), kNarrowColumns * 2);
      EXPECT_NEAR(from_bf16(out.data()), 1e6, 4e3);
      EXPECT_NEAR(from_bf16(out.data() + 2), 0.0, 6.0);
      EXPECT_TRUE(std::isnan(from_bf16(out.data() + 4)));
      EXPECT_TRUE(std::isinf(from_bf16(out.data() + 6)));
    }
  });
}

}  // namespace
}  // namespace deformer
