#pragma once
/// The kernels that are compiled, by file: each takes its share of the time to build.

#include <span>
#include <string>

#include "backends/cuda/cutlass_product.hpp"

namespace deformer::cuda {

/// For many rows: bound by arithmetic.
std::span<const CutlassTile> cutlass_large_tiles();
/// For few rows: bound by how soon the weights arrive.
std::span<const CutlassTile> cutlass_small_tiles();

std::string cutlass_version();

}  // namespace deformer::cuda
