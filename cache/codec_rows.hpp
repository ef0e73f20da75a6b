#pragma once
/// One row of a stored passage, by encoding. Encoding is scalar and exact: it happens ahead of time
/// and gives the same bytes on every machine. Decoding is vector code, chosen by what the processor
/// has. Layouts, little-endian, no padding:
///
///   bf16, f16  d elements, rounded to nearest even
///   int8       f32 scale, d signed bytes: x ~ scale * q, scale = max|x| / 127. A row that holds a
///              NaN or an infinity decodes to NaN throughout: what is lost must not look right
///   bit1       f32 scale, ceil(d / 8) bytes, lowest bit first: x ~ +scale where the bit is set,
///              else -scale. scale = mean|x| has the least squared error (Rastegari et al.,
///              XNOR-Net, ECCV 2016, eq. 6)

#include <cstddef>
#include <cstdint>

namespace deformer::codec {

void encode_bf16(const float* row, std::int64_t d, std::byte* out);
void encode_f16(const float* row, std::int64_t d, std::byte* out);
void encode_int8(const float* row, std::int64_t d, std::byte* out);
void encode_bit1(const float* row, std::int64_t d, std::byte* out);

void decode_bf16(const std::byte* row, std::int64_t d, float* out);
void decode_f16(const std::byte* row, std::int64_t d, float* out);
void decode_int8(const std::byte* row, std::int64_t d, float* out);
void decode_bit1(const std::byte* row, std::int64_t d, float* out);

}  // namespace deformer::codec
