// The attention kernel on the device: a block a head of some queries. Its work is
// in kernels/attention.cuh and kernels/tiled_attention.cuh.

#include <cuda_runtime.h>

#include <limits>

#include "backends/cuda/kernels/attention_kinds.hpp"
#include "backends/cuda/kernels/device_launch.cuh"

namespace deformer::cuda {
namespace {

template <class Kind>
__global__ void __launch_bounds__(Kind::kThreads, Kind::kBlocksAtOnce)
    attention_kernel(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  let_next_start();
  // No kernel writes the tables: read while the one before still runs.
  const auto heads = static_cast<unsigned>(args.heads);
  const QueryBlock place = args.blocks[kBlockTable<Kind::kQueries>].block[blockIdx.x / heads];
  wait_for_previous();
  DeviceBlock block;
  typename Kind::template Work<DeviceBlock> work(block, args, place,
                                                 static_cast<int>(blockIdx.x % heads), shared);
  work.run();
}

}  // namespace

bool has_form(const AttentionArgs& args, AttentionForm form) {
  const bool plain = args.relative.keys == nullptr && bytes_of(args.element) == 2;
  switch (form) {
    case AttentionForm::tall:
      return true;
    case AttentionForm::split:
      return plain;
    case AttentionForm::even:
      return plain && args.d_head <= kWidestEven;
    case AttentionForm::brief:
      return plain && args.d_head <= kWidestEven && args.longest <= kBriefTokens;
    case AttentionForm::broad:
      return plain && args.d_head <= kWidestEven && args.longest > kOneTileTokens &&
             args.blocks[kBlockTable<64>].count * args.heads <= kFewBlocks;
  }
  return false;
}

void prepare_attention_kernel(const AttentionArgs& args, std::int64_t shared_bytes_block) {
  with_attention(args, [&](auto kind) {
    using Kind = decltype(kind);
    // The most it ever takes: what is asked for holds for the launches of all sessions.
    constexpr int kBytes = Kind::bytes(std::numeric_limits<std::int64_t>::max());
    if (kBytes > shared_bytes_block) {
      throw_too_little_shared_memory(kBytes, shared_bytes_block);
    }
    check(cudaFuncSetAttribute(attention_kernel<Kind>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               kBytes),
          "asking for shared memory");
  });
}

void launch_kernel(const AttentionArgs& args, const LaunchPlace& place) {
  with_attention(args, [&](auto kind) {
    using Kind = decltype(kind);
    const std::int64_t blocks = args.blocks[kBlockTable<Kind::kQueries>].count;
    queue(attention_kernel<Kind>, static_cast<unsigned>(blocks * args.heads), Kind::kThreads,
          Kind::bytes(args.longest), args, place, "attention");
  });
}

}  // namespace deformer::cuda
