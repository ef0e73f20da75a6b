#pragma once
/// How a kernel of ours begins, and how it is queued.

#include <cuda_runtime.h>

#include <cstdint>

#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/status.hpp"

namespace deformer::cuda {

/// First thing in every kernel: lets the next one be set up, and waits for the one before.
__device__ __forceinline__ void begin_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
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
