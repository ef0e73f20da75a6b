#pragma once
/// How a cached passage is stored: rows of d floats, encoded row by row. Encoding happens ahead of
/// time; decoding happens inside the timed region while the rows are copied to where they are
/// needed. f32 is copied; bf16, f16, int8 and bit1 are laid out as codec_rows.hpp says. A new codec
/// is a line in codec.cpp and its two functions, and nothing elsewhere.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "model/types.hpp"

namespace deformer {

/// Why this dtype can't be a cache encoding in this build, or nullopt when it can.
std::optional<std::string> codec_why_not(DType dtype);

/// Bytes of `rows` encoded rows of `d` elements. Row i starts at i * encoded_bytes(dtype, 1, d).
std::int64_t encoded_bytes(DType dtype, std::int64_t rows, std::int64_t d);

/// Encodes rows*d floats. `out.size()` equals encoded_bytes.
void encode_rows(DType dtype, std::span<const float> rows, std::int64_t d,
                 std::span<std::byte> out);

/// Decodes `rows` rows into `out` [rows, d]. No allocation, no checks: the timed path.
void decode_rows(DType dtype, const std::byte* encoded, std::int64_t rows, std::int64_t d,
                 float* out);

}  // namespace deformer
