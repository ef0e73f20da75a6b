#pragma once
/// What surrounds products in reduced precision: rows are narrowed before them, sums widened after.
/// Compiled for every instruction set Highway knows, chosen at run time. None allocates or starts
/// threads.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/narrow_tiles.hpp"

namespace deformer {

/// How a row of 8-bit numbers is read: x ~ lowest + step * u, u in [0, 255]. The range need not
/// contain 0 and 0 need not be exact: a product only needs the sum of its weights besides,
/// w . x ~ step (w . u) + lowest sum(w), and one that is all on one side (GELU's results) loses no
/// bit to the other.
struct RowRange {
  float step = 0.0F;
  float lowest = 0.0F;
};

enum class NarrowActivation { none, gelu_erf, gelu_tanh };

namespace kernels {

/// Rows of `columns` floats or bf16, `x_row_bytes` apart.
struct WideRows {
  const std::byte* x = nullptr;
  std::int64_t x_row_bytes = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// f32 -> bf16, rounded to nearest even; a NaN stays one. AVX512_BF16 makes zeros of what is below
/// the smallest normal number, 1.2e-38; other code keeps it. Zeros fill the row up to a whole line.
void to_bf16(const WideRows& from, std::byte* out, std::int64_t out_row_bytes);

/// f32 or bf16 -> u8 with the range of each row, which is that of its smallest and largest element:
/// the error is at most half a step. Zeros fill the row up to a whole line. A row that holds a NaN
/// or an infinity gets a NaN for its step.
void f32_to_u8(const WideRows& from, std::byte* out, std::int64_t out_row_bytes, RowRange* ranges);
void bf16_to_u8(const WideRows& from, std::byte* out, std::int64_t out_row_bytes, RowRange* ranges);

/// A block of sums and what makes numbers of them: y = sum + bias, or, where `ranges` is not null,
/// y = int32 sum * step * column_scale + lowest * column_sum + bias.
struct NarrowSums {
  const void* sums = nullptr;  ///< [rows][kNarrowColumns]
  std::int64_t rows = 0;
  std::int64_t columns = kNarrowColumns;  ///< written; a multiple of 16
  const float* bias = nullptr;
  const float* column_scale = nullptr;
  const float* column_sum = nullptr;  ///< of the column's weights, scaled
  const RowRange* ranges = nullptr;   ///< of the block's rows
};

/// out <- y, rows `stride` floats apart.
void widen(const NarrowSums& from, float* out, std::int64_t stride);
/// out <- out + y.
void widen_added(const NarrowSums& from, float* out, std::int64_t stride);
/// out <- bf16 of activation(y). GELU is a polynomial good to 5e-5, a hundredth of what bf16 keeps
/// (where |y| > 8, to 6e-6 |y|).
void widen_to_bf16(const NarrowSums& from, NarrowActivation activation, std::byte* out,
                   std::int64_t out_row_bytes);

}  // namespace kernels
}  // namespace deformer
