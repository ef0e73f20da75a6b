#pragma once
/// The kernels that are compiled, by file: each takes its share of the time to build.

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "backends/cuda/cutlass_product.hpp"

namespace deformer::cuda {

/// Rows up to which tiles for few rows are tried. Beyond it cuBLASLt's products were at 88 % of
/// their best on an H100, and a start a microsecond earlier is less than a hundredth.
inline constexpr std::int64_t kFewRows = 1024;
inline constexpr std::int64_t kAnyRows = std::numeric_limits<std::int32_t>::max();

/// For many rows: bound by arithmetic.
std::span<const CutlassTile> cutlass_large_tiles();
/// For few rows: bound by how soon the weights arrive.
std::span<const CutlassTile> cutlass_small_tiles();
/// As few rows, of products with a bias alone or onto what the result holds.
std::span<const CutlassTile> cutlass_onto_tiles();

std::string cutlass_version();

}  // namespace deformer::cuda
