#pragma once
/// Rows that a program leaves on the device for whoever asks, and how they come back as the model
/// has them.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cuda/host/element.hpp"

namespace deformer::cuda {

struct RowsLeft {
  const void* rows = nullptr;
  Element element = Element::f32;
  std::int64_t count = 0;
  std::int64_t width = 0;   ///< elements of a row that are the model's
  std::int64_t stride = 0;  ///< elements from one row to the next

  std::int64_t bytes() const { return count * stride * bytes_of(element); }
};

/// Their bytes, copied to `from`, as floats, [count, width]. Views of what was decoded into `to`
/// before see what is decoded now, if there is as much of it.
void decode_left(std::vector<float>& to, const RowsLeft& rows, const std::byte* from);

}  // namespace deformer::cuda
