#include "backends/cuda/host/rows_left.hpp"

#include <algorithm>

#include "backends/cuda/host/encode.hpp"

namespace deformer::cuda {

void decode_left(std::vector<float>& to, const RowsLeft& rows, const std::byte* from) {
  decode_into(to, rows.element, from, rows.count * rows.stride);
  if (rows.width == rows.stride) {
    return;
  }
  for (std::int64_t row = 1; row < rows.count; ++row) {
    std::copy_n(to.begin() + row * rows.stride, rows.width, to.begin() + row * rows.width);
  }
  to.resize(static_cast<std::size_t>(rows.count * rows.width));
}

}  // namespace deformer::cuda
