#pragma once
/// How a kernel of ours begins, and how it is queued.

#include <cuda_runtime.h>

#include <array>
#include <cstdint>

#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/status.hpp"

namespace deformer::cuda {

// Every kernel does both, at once or with what needs no other kernel's results in between: reading
// constants, which are weights and a session's tables, written before the first kernel was queued.
// In a kernel that was not launched early both do nothing.

/// The kernel behind this one may be set up as soon as all blocks have come here.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// What the kernels before this one wrote is there, and nothing of theirs is still to be read.
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

/// `cluster`: neighbouring blocks that run at the same time; more than one from 9.0 on.
template <class Kernel, class Args>
void queue(Kernel kernel, dim3 blocks, int threads, int shared_bytes, const Args& args,
           const LaunchPlace& place, const char* what, int cluster = 1) {
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
  std::array<cudaLaunchAttribute, 2> attributes{};
  config.attrs = attributes.data();
  if (place.early) {
    cudaLaunchAttribute& early = attributes[config.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    cudaLaunchAttribute& together = attributes[config.numAttrs++];
    together.id = cudaLaunchAttributeClusterDimension;
    together.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  }
  check(cudaLaunchKernelEx(&config, kernel, args), what);
}

inline unsigned divide_up(std::int64_t value, std::int64_t by) {
  return static_cast<unsigned>((value + by - 1) / by);
}

}  // namespace deformer::cuda
