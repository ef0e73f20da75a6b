#pragma once
/// Weights as wide as they lie in device memory (widths.hpp).

#include <vector>

#include "backends/cuda/host/widths.hpp"

namespace deformer::cuda {

/// A matrix [out, in] of the model's numbers as one of [out.size(), in.size()], zeros where it has
/// none; the same one where both sides fit.
std::vector<float> spread(std::vector<float> matrix, const Side& out, const Side& in);

/// `rows` rows, or vectors one after the other, of one side each.
std::vector<float> spread_rows(std::vector<float> values, std::int64_t rows, const Side& side);

}  // namespace deformer::cuda
