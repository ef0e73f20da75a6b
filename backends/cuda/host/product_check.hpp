#pragma once
/// Whether a kernel that could do a product does it: its result beside cuBLASLt's of the same
/// operands. Done once, when the two are timed; what differs is not chosen.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/cuda/host/element.hpp"

namespace deformer::cuda {

/// Rows of a result that are compared: all of them, or every so many-th and the last one.
struct CheckedRows {
  std::int64_t first;
  std::int64_t step;
  std::int64_t count;
};

/// Of `rows` rows of `width` elements, up to a million elements.
CheckedRows checked_rows(std::int64_t rows, std::int64_t width);

/// What is wrong with a result, or nullopt. Both were rounded to `element` from sums in f32, whose
/// order is the kernels' own.
std::optional<std::string> difference(Element element, std::span<const float> expected,
                                      std::span<const float> found);

}  // namespace deformer::cuda
