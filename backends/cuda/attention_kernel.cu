// The attention kernel on the device: a block a head of 64 queries. Its work is in
// kernels/attention.cuh.

#include <cuda_runtime.h>

#include "backends/cuda/kernels/ahead.cuh"
#include "backends/cuda/kernels/attention.cuh"
#include "backends/cuda/kernels/device_launch.cuh"
#include "backends/cuda/kernels/dispatch.hpp"

namespace deformer::cuda {
namespace {

template <class T, int kWide, bool kRelative>
__global__ void __launch_bounds__(kBlockThreads)
    attention_kernel(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  let_next_start();
  ask_ahead(args.ahead);
  wait_for_previous();
  DeviceBlock block;
  AttentionBlock<T, kWide, kRelative, DeviceBlock> work(block, args, args.blocks[blockIdx.x],
                                                        static_cast<int>(blockIdx.y), shared);
  work.run();
}

/// f(kernel, bytes of shared memory) for these arguments.
template <class F>
void with_kernel(const AttentionArgs& args, const F& f) {
  with_element(args.element, [&](auto type) {
    with_head(args.d_head, [&](auto wide) {
      using T = decltype(type);
      constexpr int kWide = decltype(wide)::value;
      if (args.relative.keys != nullptr) {
        f(attention_kernel<T, kWide, true>, AttentionShape<T, kWide, true>::kBytes);
      } else {
        f(attention_kernel<T, kWide, false>, AttentionShape<T, kWide, false>::kBytes);
      }
    });
  });
}

}  // namespace

void prepare_attention_kernel(const AttentionArgs& args, std::int64_t shared_bytes_block) {
  with_kernel(args, [&](auto kernel, int bytes) {
    if (bytes > shared_bytes_block) {
      throw_too_little_shared_memory(bytes, shared_bytes_block);
    }
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "asking for shared memory");
  });
}

void launch_kernel(const AttentionArgs& args, const LaunchPlace& place) {
  with_kernel(args, [&](auto kernel, int bytes) {
    queue(kernel, dim3(static_cast<unsigned>(args.block_count), static_cast<unsigned>(args.heads)),
          kBlockThreads, bytes, args, place, "attention");
  });
}

}  // namespace deformer::cuda
