#pragma once
/// The product of amx_f32_few.cpp.

#include <memory>

#include "backends/cpu/panel_weights.hpp"

namespace deformer {

/// Null where rows are more than it serves: more than a group of tiles has, or than have their
/// parts in half of the second-level cache.
std::unique_ptr<Linear> make_few_rows_linear(const LinearKind& kind, const Panels& panels,
                                             std::int64_t rows);

}  // namespace deformer
