#pragma once
/// What the kernels can serve.

#include <optional>
#include <string>

#include "model/config.hpp"

namespace deformer::cuda {

/// Why a model of that shape can't be computed here in that dtype, or nullopt: rows and heads are
/// read in packs of 4, a row fits a warp's registers, a head shared memory; e4m3 products want
/// multiples of 16.
std::optional<std::string> model_why_not(const ModelConfig& config, DType dtype);

}  // namespace deformer::cuda
