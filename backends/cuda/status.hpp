#pragma once
/// What a CUDA call answered, checked always.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace deformer::cuda {

/// The device has faulted: a kernel reached for memory that is none, say. Nothing more can be had
/// of it in this process, and whatever is asked of it next would seem to be at fault: who goes on
/// after other failures lets this one pass.
class DeviceFault : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// @throws std::runtime_error: what was asked for, that success was expected, and what was found;
/// DeviceFault where that is a fault of the device.
void check(cudaError_t status, std::string_view what);

/// @throws DeviceFault: what `fault` says, and what was being tried.
[[noreturn]] void throw_again(const DeviceFault& fault, std::string_view tried);

/// Of memory that could not be had. @throws Unavailable with both figures: asked for, free.
[[noreturn]] void throw_out_of_memory(std::string_view what, std::int64_t bytes);

/// The attention kernel's heads don't fit. @throws Unavailable.
[[noreturn]] void throw_too_little_shared_memory(std::int64_t needed, std::int64_t found);

/// For destructors, which must not throw: a failure there changes no result.
inline void forget(cudaError_t) {}

}  // namespace deformer::cuda
