#pragma once
/// 16 bytes from the device's memory to shared memory without passing registers; on the host, a
/// copy.

#include <cstdint>

#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

struct alignas(16) Words {
  std::uint32_t word[4];
};

/// Zeros where not `there`; `from` must still be an address that can be read.
DEFORMER_PORTABLE void copy_async(Words* to, const void* from, bool there) {
#if defined(__CUDA_ARCH__)
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(bytes)
               : "memory");
#else
  *to = there ? *static_cast<const Words*>(from) : Words{};
#endif
}

/// What this thread has copied is there, for itself.
DEFORMER_PORTABLE void wait_for_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace deformer::cuda
