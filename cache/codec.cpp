#include "cache/codec.hpp"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::uint32_t kExponentMask = 0x7F80'0000U;
constexpr std::uint32_t kMagnitudeMask = 0x7FFF'FFFFU;
constexpr std::uint32_t kQuietBit = 0x0040'0000U;

/// Nearest even: adding half a unit in the last kept place, less one when that place is even,
/// carries exactly when the value must go up. A NaN would lose its low payload, or be carried into
/// infinity, so it is made quiet instead.
std::uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = (bits & kMagnitudeMask) > kExponentMask;
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  return static_cast<std::uint16_t>((nan ? (bits | kQuietBit) : rounded) >> 16);
}

void encode_bf16(std::span<const float> rows, std::byte* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint16_t bits = bf16_from_float(rows[i]);
    std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
  }
}

/// A shift an element; the compiler makes vectors of it, and memory is the limit.
void decode_bf16(const std::byte* encoded, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, encoded + i * sizeof bits, sizeof bits);
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
}

void require_codec(DType dtype) {
  if (const auto reason = codec_why_not(dtype)) {
    throw Unavailable(*reason);
  }
}

}  // namespace

std::optional<std::string> codec_why_not(DType dtype) {
  if (dtype == DType::f32 || dtype == DType::bf16) {
    return std::nullopt;
  }
  return fmt::format("cache dtype {} is not supported yet (supported: f32, bf16)",
                     to_string(dtype));
}

std::int64_t encoded_bytes(DType dtype, std::int64_t rows, std::int64_t d) {
  require_codec(dtype);
  return rows * d * element_bytes(dtype);
}

void encode_rows(DType dtype, std::span<const float> rows, std::int64_t d,
                 std::span<std::byte> out) {
  require_codec(dtype);
  const auto count = static_cast<std::int64_t>(rows.size());
  if (d < 1 || count % d != 0 ||
      static_cast<std::int64_t>(out.size()) != encoded_bytes(dtype, count / d, d)) {
    throw BadInput(
        fmt::format("encode_rows: expected rows of {} floats and room for exactly their "
                    "encoding, found {} floats and {} bytes",
                    d, count, out.size()));
  }
  if (dtype == DType::f32) {
    std::memcpy(out.data(), rows.data(), rows.size_bytes());
  } else {
    encode_bf16(rows, out.data());
  }
}

void decode_rows(DType dtype, const std::byte* encoded, std::int64_t rows, std::int64_t d,
                 float* out) {
  const auto count = static_cast<std::size_t>(rows * d);
  if (dtype == DType::f32) {
    std::memcpy(out, encoded, count * sizeof(float));
  } else {
    decode_bf16(encoded, count, out);
  }
}

}  // namespace deformer
