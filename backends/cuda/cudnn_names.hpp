#pragma once
/// cuDNN's C functions that its graph API calls, passed on to the library opened at first use.

#include "backends/cuda/dynamic_library.hpp"

namespace deformer::cuda {

/// libcudnn.so.9, opened at the first call.
const DynamicLibrary& cudnn_library();

}  // namespace deformer::cuda
