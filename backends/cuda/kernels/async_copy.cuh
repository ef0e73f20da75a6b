#pragma once
/// 8 or 16 bytes from the device's memory to shared memory without passing registers; on the host,
/// a copy.

#include <cstdint>
#include <cstring>

#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

struct alignas(16) Words {
  std::uint32_t word[4];
};

/// Zeros where not `there`; `from` must still be an address that can be read.
template <int kBytes>
DEFORMER_PORTABLE void copy_async(void* to, const void* from, bool there) {
  static_assert(kBytes == 8 || kBytes == 16);
#if defined(__CUDA_ARCH__)
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  const std::uint32_t bytes = there ? kBytes : 0U;  // the rest are zeros
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
  }
#else
  if (there) {
    std::memcpy(to, from, kBytes);
  } else {
    std::memset(to, 0, kBytes);
  }
#endif
}

/// What this thread has copied is there, for itself.
DEFORMER_PORTABLE void wait_for_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace deformer::cuda
