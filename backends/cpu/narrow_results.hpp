#pragma once
/// A block of sums on its way to where it belongs. A product that has its sums does not write them
/// out at once: whoever multiplies the next block does it meanwhile (NarrowArgs::due), in units of
/// the processor that multiplications leave idle.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/narrow_rows.hpp"

namespace deformer {

struct NarrowResults {
  enum class As {
    bf16,   ///< out <- bf16 of activation(y)
    f32,    ///< out <- y
    added,  ///< out <- out + y, f32
  };

  kernels::NarrowSums sums;
  As as = As::bf16;
  NarrowActivation activation = NarrowActivation::none;  ///< of bf16 results
  std::byte* out = nullptr;
  std::int64_t out_row_bytes = 0;
};

namespace kernels {

/// Writes `count` rows of them from `first` on.
void write(const NarrowResults& results, std::int64_t first, std::int64_t count);

}  // namespace kernels
}  // namespace deformer
