#pragma once
/// What a CUDA call answered, checked always.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string_view>

namespace deformer::cuda {

/// @throws std::runtime_error: what was asked for, that success was expected, and what was found.
void check(cudaError_t status, std::string_view what);

/// Of memory that could not be had. @throws Unavailable with both figures: asked for, free.
[[noreturn]] void throw_out_of_memory(std::string_view what, std::int64_t bytes);

/// The attention kernel's heads don't fit. @throws Unavailable.
[[noreturn]] void throw_too_little_shared_memory(std::int64_t needed, std::int64_t found);

/// For destructors, which must not throw: a failure there changes no result.
inline void forget(cudaError_t) {}

}  // namespace deformer::cuda
