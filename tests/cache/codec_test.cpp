#include "cache/codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "model/config.hpp"
#include "model/cost.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

std::vector<float> round_trip(DType dtype, const std::vector<float>& values, std::int64_t d) {
  const auto rows = static_cast<std::int64_t>(values.size()) / d;
  std::vector<std::byte> encoded(static_cast<std::size_t>(encoded_bytes(dtype, rows, d)));
  encode_rows(dtype, values, d, encoded);
  std::vector<float> decoded(values.size(), -7.0F);
  decode_rows(dtype, encoded.data(), rows, d, decoded.data());
  return decoded;
}

float bf16(float value) {
  return round_trip(DType::bf16, {value}, 1).front();
}

float from_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}
std::uint32_t to_bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

TEST(Codec, F32KeepsEveryBit) {
  const std::vector<float> values{1.5F,
                                  -0.0F,
                                  from_bits(1),
                                  from_bits(0x7FC0'1234),
                                  std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::max()};
  const auto decoded = round_trip(DType::f32, values, 3);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(to_bits(values[i]), to_bits(decoded[i]));
  }
}

TEST(Codec, Bf16RoundsToNearest) {
  EXPECT_EQ(to_bits(bf16(from_bits(0x3F80'7FFF))), 0x3F80'0000U);
  EXPECT_EQ(to_bits(bf16(from_bits(0x3F80'8001))), 0x3F81'0000U);
  EXPECT_EQ(to_bits(bf16(from_bits(0xBF80'8001))), 0xBF81'0000U);
}

TEST(Codec, Bf16TiesGoToEven) {
  EXPECT_EQ(to_bits(bf16(from_bits(0x3F80'8000))), 0x3F80'0000U);
  EXPECT_EQ(to_bits(bf16(from_bits(0x3F81'8000))), 0x3F82'0000U);
}

TEST(Codec, Bf16KeepsZerosInfinitiesAndDenormals) {
  EXPECT_EQ(to_bits(bf16(-0.0F)), 0x8000'0000U);
  EXPECT_EQ(bf16(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(bf16(-std::numeric_limits<float>::infinity()), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(to_bits(bf16(from_bits(0x0001'0000))), 0x0001'0000U);
  EXPECT_EQ(to_bits(bf16(from_bits(1))), 0U);
}

TEST(Codec, Bf16OverflowsToInfinityOnlyAboveItsLargest) {
  EXPECT_EQ(bf16(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(to_bits(bf16(from_bits(0x7F7F'7FFF))), 0x7F7F'0000U);
}

TEST(Codec, Bf16KeepsNaNsWhoseBitsAreAllLow) {
  EXPECT_TRUE(std::isnan(bf16(from_bits(0x7F80'0001))));
  EXPECT_TRUE(std::isnan(bf16(from_bits(0xFFFF'FFFF))));
  EXPECT_TRUE(std::signbit(bf16(from_bits(0xFFFF'FFFF))));
}

TEST(Codec, EveryBf16SurvivesTheRoundTrip) {
  for (std::uint32_t high = 0; high < 0x1'0000; ++high) {
    const float value = from_bits(high << 16);
    if (!std::isnan(value)) {
      ASSERT_EQ(to_bits(bf16(value)), high << 16);
    }
  }
}

TEST(Codec, RowsLieOneAfterTheOther) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    std::vector<std::byte> encoded(static_cast<std::size_t>(encoded_bytes(dtype, 2, 3)));
    encode_rows(dtype, values, 3, encoded);
    std::vector<float> second(3);
    decode_rows(dtype, encoded.data() + encoded_bytes(dtype, 1, 3), 1, 3, second.data());
    EXPECT_THAT(second, testing::ElementsAre(4, 5, 6));
  }
}

TEST(Codec, SizesAreThoseOfTheElements) {
  EXPECT_EQ(encoded_bytes(DType::f32, 293, 768), 293 * 768 * 4);
  EXPECT_EQ(encoded_bytes(DType::bf16, 293, 768), 293 * 768 * 2);
}

TEST(Codec, SizesAreThoseOfTheCostModel) {
  const ModelConfig config = *builtin_model("bert-base");
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::int8, DType::bit1}) {
    EXPECT_EQ(encoded_bytes(dtype, 293, 768), cached_passage_bytes(config, 293, dtype));
  }
}

TEST(Codec, OnlyFp8IsMissing) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::int8, DType::bit1}) {
    EXPECT_EQ(codec_why_not(dtype), std::nullopt);
  }
  EXPECT_THAT(codec_why_not(DType::fp8).value_or(""),
              testing::HasSubstr("supported: f32, bf16, f16, int8, bit1"));
  EXPECT_THROW(encoded_bytes(DType::fp8, 1, 1), Unavailable);
}

float f16(float value) {
  return round_trip(DType::f16, {value}, 1).front();
}

TEST(Codec, EveryF16SurvivesTheRoundTrip) {
  for (std::uint32_t half = 0; half < 0x1'0000; ++half) {
    const auto value =
        static_cast<float>(std::bit_cast<_Float16>(static_cast<std::uint16_t>(half)));
    if (!std::isnan(value)) {
      ASSERT_EQ(to_bits(f16(value)), to_bits(value)) << half;
    }
  }
}

/// The compiler's own conversion rounds to nearest even.
TEST(Codec, F16RoundsAsTheCompilerDoes) {
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    const float value = from_bits(0x3200'0000U + i * 0x1237U);  // 2^-27 to 2^17
    ASSERT_EQ(to_bits(f16(value)), to_bits(static_cast<float>(static_cast<_Float16>(value))))
        << value;
    ASSERT_EQ(to_bits(f16(-value)), to_bits(-f16(value)));
  }
  EXPECT_EQ(f16(65519.996F), 65504);
  EXPECT_EQ(f16(65520), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(f16(std::numeric_limits<float>::quiet_NaN())));
}

std::vector<float> wavy(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 3 * std::sin(static_cast<float>(i) * 0.7F) + 0.01F * static_cast<float>(i % 5);
  }
  return values;
}

/// Widths that are no whole number of vectors, and narrower than one.
constexpr std::int64_t kWidths[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 100, 768, 1023};

TEST(Codec, Int8IsWithinHalfAStepOfEveryValue) {
  for (const std::int64_t d : kWidths) {
    const std::vector<float> values = wavy(3 * d);
    const std::vector<float> decoded = round_trip(DType::int8, values, d);
    for (std::size_t row = 0; row < 3; ++row) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(row) * d;
      float largest = 0;
      std::for_each(first, first + d, [&](float x) { largest = std::max(largest, std::abs(x)); });
      for (std::int64_t i = 0; i < d; ++i) {
        const auto at = row * static_cast<std::size_t>(d) + static_cast<std::size_t>(i);
        ASSERT_NEAR(decoded[at], values[at], largest / 127 * 0.5001F) << d << ' ' << i;
      }
    }
  }
}

TEST(Codec, Int8KeepsExtremesZerosAndSaysWhatIsLost) {
  EXPECT_THAT(round_trip(DType::int8, {127, -127, 1, 0}, 4), testing::ElementsAre(127, -127, 1, 0));
  EXPECT_THAT(round_trip(DType::int8, {0, 0}, 2), testing::Each(0));
  const float tiny = from_bits(1);
  for (const float x : round_trip(DType::int8, {tiny, -tiny}, 2)) {
    EXPECT_TRUE(std::abs(x) <= tiny);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_THAT(round_trip(DType::int8, {1, bad, 2}, 3), testing::Each(testing::IsNan()));
  }
}

TEST(Codec, Bit1KeepsSignsAndTheMeanMagnitude) {
  for (const std::int64_t d : kWidths) {
    const std::vector<float> values = wavy(d);
    double mean = 0;
    for (const float x : values) {
      mean += std::abs(x) / static_cast<double>(d);
    }
    const std::vector<float> decoded = round_trip(DType::bit1, values, d);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_FLOAT_EQ(decoded[i], std::copysign(static_cast<float>(mean), values[i])) << d;
    }
  }
}

/// On every instruction set this processor has, not only its best.
TEST(Codec, EveryTargetDecodesAlike) {
  for (const DType dtype : {DType::bf16, DType::f16, DType::int8, DType::bit1}) {
    for (const std::int64_t d : kWidths) {
      const std::vector<float> values = wavy(2 * d);
      const std::vector<float> best = round_trip(dtype, values, d);
      for (const auto target : {HWY_EMU128, HWY_SSE4, HWY_AVX2, HWY_AVX3}) {
        if ((hwy::SupportedTargets() & target) == 0) {
          std::printf("SKIPPED: this processor has no %s\n", hwy::TargetName(target));
          continue;
        }
        hwy::SetSupportedTargetsForTest(target);
        EXPECT_EQ(round_trip(dtype, values, d), best)
            << to_string(dtype) << ' ' << d << ' ' << hwy::TargetName(target);
        hwy::SetSupportedTargetsForTest(0);
      }
    }
  }
}

TEST(Codec, RefusesRoomOfTheWrongSize) {
  const std::vector<float> values(6);
  std::vector<std::byte> room(23);
  EXPECT_THROW(encode_rows(DType::f32, values, 3, room), BadInput);
  EXPECT_THROW(encode_rows(DType::f32, values, 4, room), BadInput);
}

}  // namespace
}  // namespace deformer
