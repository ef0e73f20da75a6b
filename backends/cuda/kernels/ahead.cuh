#pragma once
/// Asks for weights before they are needed.

#include <cstdint>

#include "backends/cuda/kernels/args.hpp"

namespace deformer::cuda {

/// One block's share of it, asked for in parts that go to the blocks in turn. Waits for nothing,
/// and needs nothing of the kernel before. Without the instruction (before 9.0) it does nothing.
__device__ __forceinline__ void ask_ahead([[maybe_unused]] const Ahead& ahead) {
#if __CUDA_ARCH__ >= 900
  constexpr std::int64_t kPart = 4096;
  const std::int64_t blocks = std::int64_t{gridDim.x} * gridDim.y;
  const std::int64_t block = std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
  const auto* from = static_cast<const unsigned char*>(ahead.from);
  for (std::int64_t at = (block + blocks * threadIdx.x) * kPart; at < ahead.bytes;
       at += blocks * blockDim.x * kPart) {
    const std::int64_t left = ahead.bytes - at;
    const auto bytes = static_cast<std::uint32_t>(left < kPart ? left : kPart);
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from + at), "r"(bytes));
  }
#endif
}

}  // namespace deformer::cuda
