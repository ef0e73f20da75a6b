#pragma once
/// The CUDA backend.

#include <memory>

#include "backends/backend.hpp"

namespace deformer {

std::unique_ptr<Backend> make_cuda_backend();

}  // namespace deformer
