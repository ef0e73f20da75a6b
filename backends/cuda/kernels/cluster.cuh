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

/// Until all threads of all blocks have arrived as often as this one.
__device__ __forceinline__ void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

/// Counts the bytes that blocks of the cluster send to this one (an mbarrier, PTX ISA): used once.
using Arrivals = std::uint64_t;

/// One thread's, before the cluster's blocks have all arrived: so many bytes will come.
__device__ __forceinline__ void expect_bytes([[maybe_unused]] Arrivals* arrivals,
                                             [[maybe_unused]] int bytes) {
#if __CUDA_ARCH__ >= 900
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(arrivals));
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes)
               : "memory");
#endif
}

/// All of them are there and seen by this thread.
__device__ __forceinline__ void await_bytes([[maybe_unused]] Arrivals* arrivals) {
#if __CUDA_ARCH__ >= 900
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(arrivals));
  std::uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred there;\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 there, [%1], 0;\n"
        "selp.u32 %0, 1, 0, there;\n"
        "}"
        : "=r"(done)
        : "r"(at)
        : "memory");
  }
#endif
}

/// Sends two floats to where `own`, of this block's shared memory, lies in that of block `rank`,
/// where they are counted. The address is a multiple of 8.
__device__ __forceinline__ void send([[maybe_unused]] int rank, [[maybe_unused]] void* own,
                                     [[maybe_unused]] Arrivals* arrivals,
                                     [[maybe_unused]] float first, [[maybe_unused]] float second) {
#if __CUDA_ARCH__ >= 900
  const auto mine = static_cast<std::uint32_t>(__cvta_generic_to_shared(own));
  const auto counter = static_cast<std::uint32_t>(__cvta_generic_to_shared(arrivals));
  std::uint32_t there;
  std::uint32_t counted;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(mine), "r"(rank));
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(counted) : "r"(counter), "r"(rank));
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
          there),
      "f"(first), "f"(second), "r"(counted)
      : "memory");
#endif
}

}  // namespace deformer::cuda
