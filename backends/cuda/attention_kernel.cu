// The attention kernel on the device: a block a head of some queries. Its work is
// in kernels/attention.cuh and kernels/tiled_attention.cuh.

#include <cuda_runtime.h>

#include "backends/cuda/kernels/attention_kinds.hpp"
#include "backends/cuda/kernels/device_launch.cuh"

namespace deformer::cuda {
namespace {

template <class Kind>
__global__ void __launch_bounds__(kBlockThreads, Kind::kBlocksAtOnce)
    attention_kernel(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  begin_kernel();
  DeviceBlock block;
  typename Kind::template Work<DeviceBlock> work(
      block, args, args.blocks[kBlockTable<Kind::kQueries>].block[blockIdx.x],
      static_cast<int>(blockIdx.y), shared);
  work.run();
}

/// f(kernel, bytes of shared memory, blocks of queries) for these arguments.
template <class F>
void with_kernel(const AttentionArgs& args, const F& f) {
  with_attention(args, [&](auto kind) {
    using Kind = decltype(kind);
    f(attention_kernel<Kind>, Kind::bytes(args.longest),
      args.blocks[kBlockTable<Kind::kQueries>].count);
  });
}

}  // namespace

void prepare_attention_kernel(const AttentionArgs& args, std::int64_t shared_bytes_block) {
  with_kernel(args, [&](auto kernel, int bytes, std::int64_t) {
    if (bytes > shared_bytes_block) {
      throw_too_little_shared_memory(bytes, shared_bytes_block);
    }
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "asking for shared memory");
  });
}

void launch_kernel(const AttentionArgs& args, const LaunchPlace& place) {
  with_kernel(args, [&](auto kernel, int bytes, std::int64_t blocks) {
    queue(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(args.heads)),
          kBlockThreads, bytes, args, place, "attention");
  });
}

}  // namespace deformer::cuda
