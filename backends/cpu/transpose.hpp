#pragma once
/// Transposing in squares of registers; compiled and chosen as kernels.hpp says.

#include <cstdint>

namespace deformer::kernels {

/// rows [count, columns], `stride` floats apart, to out [columns, width], zero beyond `count`.
/// `width` is a multiple of the vector length.
void transpose(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t columns,
               float* out, std::int64_t width);

/// scores [keys, width] += rows^T, rows [queries, keys] with `stride` floats between them, queries
/// <= width. Whole vectors of a row are read, those beyond its keys are not used.
void add_transposed(const float* rows, std::int64_t stride, std::int64_t queries, std::int64_t keys,
                    float* scores, std::int64_t width);

}  // namespace deformer::kernels
