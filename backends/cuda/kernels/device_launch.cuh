#pragma once
/// How a kernel of ours begins, and how it is queued.

#include <cuda_runtime.h>

#include <cstdint>

#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/status.hpp"

namespace deformer::cuda {

/// Lets the kernel after this one be set up, and begin with what does not depend on this one.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// What the kernel before has written can be read, and what it has read can be written.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// First thing in kernels that have nothing to do before the one before has ended.
__device__ __forceinline__ void begin_kernel() {
  let_next_start();
  wait_for_previous();
}

template <class Kernel, class Args>
void queue(Kernel kernel, dim3 blocks, int threads, int shared_bytes, const Args& args,
           const LaunchPlace& place, const char* what) {
  if (place.load_only) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), what);
    return;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = place.stream;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = place.early ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, args), what);
}

inline unsigned divide_up(std::int64_t value, std::int64_t by) {
  return static_cast<unsigned>((value + by - 1) / by);
}

}  // namespace deformer::cuda
