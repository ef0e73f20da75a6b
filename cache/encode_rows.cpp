#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "cache/codec_rows.hpp"

namespace deformer::codec {
namespace {

constexpr std::uint32_t kExponentMask = 0x7F80'0000U;
constexpr std::uint32_t kMagnitudeMask = 0x7FFF'FFFFU;
constexpr std::uint32_t kQuietBit = 0x0040'0000U;
constexpr float kLargestInt8 = 127;

/// Nearest even: adding half a unit in the last kept place, less one when that place is even,
/// carries exactly when the value must go up. A NaN would lose its low payload, or be carried into
/// infinity, so it is made quiet instead.
std::uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = (bits & kMagnitudeMask) > kExponentMask;
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  return static_cast<std::uint16_t>((nan ? (bits | kQuietBit) : rounded) >> 16);
}

/// Nearest even, by the processor's own addition: a float plus 2^13 of its own size drops the 13
/// bits that f16 lacks; below 2^-14, where f16's steps are all 2^-24, plus 1/2 does.
std::uint16_t f16_from_float(float value) {
  constexpr float kOverflow = 65520;  // half a step above f16's largest
  constexpr float kSmallestNormal = 0x1p-14F;
  const auto sign =
      static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(value) >> 16) & 0x8000U);
  const float size = std::fabs(value);
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>(sign | 0x7E00U);
  }
  if (size >= kOverflow) {
    return static_cast<std::uint16_t>(sign | 0x7C00U);
  }
  if (size < kSmallestNormal) {
    // The last bits of size + 1/2 count in steps of 2^-24.
    const auto steps =
        std::bit_cast<std::uint32_t>(size + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
    return static_cast<std::uint16_t>(sign | steps);
  }
  const auto bits = std::bit_cast<std::uint32_t>(size);
  const std::uint32_t rounded = bits + 0xFFFU + ((bits >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - (112U << 23)) >> 13));
}

template <class Element>
void store(Element element, std::byte* out) {
  std::memcpy(out, &element, sizeof element);
}

}  // namespace

void encode_bf16(const float* row, std::int64_t d, std::byte* out) {
  for (std::int64_t i = 0; i < d; ++i) {
    store(bf16_from_float(row[i]), out + 2 * i);
  }
}

void encode_f16(const float* row, std::int64_t d, std::byte* out) {
  for (std::int64_t i = 0; i < d; ++i) {
    store(f16_from_float(row[i]), out + 2 * i);
  }
}

void encode_int8(const float* row, std::int64_t d, std::byte* out) {
  float largest = 0;
  bool finite = true;
  for (std::int64_t i = 0; i < d; ++i) {
    largest = std::max(largest, std::fabs(row[i]));
    finite = finite && std::isfinite(row[i]);
  }
  const float scale = finite ? largest / kLargestInt8 : std::numeric_limits<float>::quiet_NaN();
  store(scale, out);
  out += sizeof scale;
  for (std::int64_t i = 0; i < d; ++i) {
    // A row of zeros, or of values so small that their scale is none.
    const float step = finite && scale > 0 ? row[i] / scale : 0;
    store(static_cast<std::int8_t>(std::lrint(std::clamp(step, -kLargestInt8, kLargestInt8))),
          out + i);
  }
}

void encode_bit1(const float* row, std::int64_t d, std::byte* out) {
  double sum = 0;
  for (std::int64_t i = 0; i < d; ++i) {
    sum += std::fabs(row[i]);  // NaN and infinity stay: the row then decodes to them
  }
  store(static_cast<float>(sum / static_cast<double>(d)), out);
  out += sizeof(float);
  for (std::int64_t first = 0; first < d; first += 8) {
    unsigned bits = 0;
    for (std::int64_t i = first; i < std::min(first + 8, d); ++i) {
      bits |= (std::signbit(row[i]) ? 0U : 1U) << (i - first);
    }
    out[first / 8] = static_cast<std::byte>(bits);
  }
}

}  // namespace deformer::codec
