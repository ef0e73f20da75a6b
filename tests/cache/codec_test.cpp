#include "cache/codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

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

TEST(Codec, SaysWhichEncodingsAreMissing) {
  EXPECT_EQ(codec_why_not(DType::f32), std::nullopt);
  EXPECT_EQ(codec_why_not(DType::bf16), std::nullopt);
  for (const DType dtype : {DType::f16, DType::int8, DType::fp8, DType::bit1}) {
    EXPECT_THAT(codec_why_not(dtype).value_or(""), testing::HasSubstr("supported: f32, bf16"));
    EXPECT_THROW(encoded_bytes(dtype, 1, 1), Unavailable);
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
