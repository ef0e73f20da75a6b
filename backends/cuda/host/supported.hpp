#pragma once
/// What the kernels can serve.

#include <optional>
#include <string>

#include "model/config.hpp"

namespace deformer::cuda {

/// Why a model of that shape can't be computed here, in any dtype, or nullopt: a row fits a warp's
/// registers, a head shared memory. Widths that kernels do not have are padded (widths.hpp).
std::optional<std::string> model_why_not(const ModelConfig& config);

}  // namespace deformer::cuda
