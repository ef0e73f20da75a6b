#pragma once
/// Blocks of a cluster, which run at the same time and reach one another's shared memory (from 9.0
/// on; before, a cluster is one block and none of this is called).

#include <cstdint>

namespace deformer::cuda {

/// This thread has come here. Nothing is said of what it wrote.
__device__ __forceinline__ void cluster_arrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}

/// This thread has come here, and what it wrote is to be seen by those that wait.
__device__ __forceinline__ void cluster_release() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}

/// Until all threads of all blocks have arrived as often as this one.
__device__ __forceinline__ void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

/// Two floats to where `own`, of this block's shared memory, lies in that of block `rank`. The
/// address is a multiple of 8.
__device__ __forceinline__ void store_in_cluster([[maybe_unused]] void* own,
                                                 [[maybe_unused]] int rank,
                                                 [[maybe_unused]] float first,
                                                 [[maybe_unused]] float second) {
#if __CUDA_ARCH__ >= 900
  const auto mine = static_cast<std::uint32_t>(__cvta_generic_to_shared(own));
  std::uint32_t there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(mine), "r"(rank));
  asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(there), "f"(first), "f"(second)
               : "memory");
#endif
}

}  // namespace deformer::cuda
