#include "backends/cpu/narrow_results.hpp"

namespace deformer::kernels {

void write(const NarrowResults& results, std::int64_t first, std::int64_t count) {
  constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
  if (count == 0) {
    return;  // a worker that had no block has no biases either
  }
  NarrowSums sums = results.sums;
  sums.sums = static_cast<const std::byte*>(sums.sums) + first * kPanelRowBytes;
  sums.rows = count;
  if (sums.ranges != nullptr) {
    sums.ranges += first;
  }
  std::byte* out = results.out + first * results.out_row_bytes;
  if (results.as == NarrowResults::As::bf16) {
    widen_to_bf16(sums, results.activation, out, results.out_row_bytes);
    return;
  }
  const std::int64_t stride = results.out_row_bytes / kFloatBytes;
  results.as == NarrowResults::As::added ? widen_added(sums, reinterpret_cast<float*>(out), stride)
                                         : widen(sums, reinterpret_cast<float*>(out), stride);
}

}  // namespace deformer::kernels
