#include "cache/codec.hpp"

#include <cstring>

#include <fmt/format.h>

#include "cache/codec_rows.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kScaleBytes = sizeof(float);  // one a row of int8 or bit1

void copy_in(const float* row, std::int64_t d, std::byte* out) {
  std::memcpy(out, row, static_cast<std::size_t>(d) * sizeof(float));
}

void copy_out(const std::byte* row, std::int64_t d, float* out) {
  std::memcpy(out, row, static_cast<std::size_t>(d) * sizeof(float));
}

struct Codec {
  DType dtype;
  std::int64_t (*row_bytes)(std::int64_t d);
  void (*encode)(const float* row, std::int64_t d, std::byte* out);
  void (*decode)(const std::byte* row, std::int64_t d, float* out);
};

constexpr Codec kCodecs[] = {
    {DType::f32, [](std::int64_t d) { return 4 * d; }, copy_in, copy_out},
    {DType::bf16, [](std::int64_t d) { return 2 * d; }, codec::encode_bf16, codec::decode_bf16},
    {DType::f16, [](std::int64_t d) { return 2 * d; }, codec::encode_f16, codec::decode_f16},
    {DType::int8, [](std::int64_t d) { return d + kScaleBytes; }, codec::encode_int8,
     codec::decode_int8},
    {DType::bit1, [](std::int64_t d) { return (d + 7) / 8 + kScaleBytes; }, codec::encode_bit1,
     codec::decode_bit1},
};

const Codec* find_codec(DType dtype) {
  for (const Codec& codec : kCodecs) {
    if (codec.dtype == dtype) {
      return &codec;
    }
  }
  return nullptr;
}

const Codec& require_codec(DType dtype) {
  const Codec* codec = find_codec(dtype);
  if (codec == nullptr) {
    throw Unavailable(*codec_why_not(dtype));
  }
  return *codec;
}

}  // namespace

std::optional<std::string> codec_why_not(DType dtype) {
  if (find_codec(dtype) != nullptr) {
    return std::nullopt;
  }
  std::string supported;
  for (const Codec& codec : kCodecs) {
    supported += fmt::format("{}{}", supported.empty() ? "" : ", ", to_string(codec.dtype));
  }
  return fmt::format("cache dtype {} is not supported (supported: {})", to_string(dtype),
                     supported);
}

std::int64_t encoded_bytes(DType dtype, std::int64_t rows, std::int64_t d) {
  return rows * require_codec(dtype).row_bytes(d);
}

void encode_rows(DType dtype, std::span<const float> rows, std::int64_t d,
                 std::span<std::byte> out) {
  const Codec& codec = require_codec(dtype);
  const auto count = static_cast<std::int64_t>(rows.size());
  if (d < 1 || count % d != 0 ||
      static_cast<std::int64_t>(out.size()) != encoded_bytes(dtype, count / d, d)) {
    throw BadInput(
        fmt::format("encode_rows: expected rows of {} floats and room for exactly their "
                    "encoding, found {} floats and {} bytes",
                    d, count, out.size()));
  }
  std::byte* to = out.data();
  for (std::int64_t first = 0; first < count; first += d) {
    codec.encode(rows.data() + first, d, to);
    to += codec.row_bytes(d);
  }
}

void decode_rows(DType dtype, const std::byte* encoded, std::int64_t rows, std::int64_t d,
                 float* out) {
  const Codec& codec = *find_codec(dtype);
  const std::int64_t row_bytes = codec.row_bytes(d);
  for (std::int64_t row = 0; row < rows; ++row) {
    codec.decode(encoded + row * row_bytes, d, out + row * d);
  }
}

}  // namespace deformer
