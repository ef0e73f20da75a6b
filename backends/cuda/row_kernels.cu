// The row kernels on the device: which warp does which row. Their work is in kernels/rows.cuh.

#include <cuda_runtime.h>

#include <algorithm>

#include "backends/cuda/kernels/ahead.cuh"
#include "backends/cuda/kernels/device_launch.cuh"
#include "backends/cuda/kernels/dispatch.hpp"
#include "backends/cuda/kernels/rows.cuh"

namespace deformer::cuda {
namespace {

/// Four rows a block: at 27 rows still seven multiprocessors, at 12 288 no shortage of warps.
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kLanes;
/// Packs a thread of the element-wise kernels works on.
constexpr int kPacksEach = 4;

__device__ __forceinline__ std::int64_t warp_index() {
  return std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kLanes;
}

template <class T, int kChunks>
__global__ void __launch_bounds__(kThreads) embed_kernel(const __grid_constant__ EmbedArgs args) {
  let_next_start();
  ask_ahead(args.ahead);
  wait_for_previous();
  DeviceWarp warp;
  if (const std::int64_t row = warp_index(); row < args.rows) {
    embed_row<T, kChunks>(warp, args, row);
  }
}

template <class T, int kChunks>
__global__ void __launch_bounds__(kThreads) norm_kernel(const __grid_constant__ NormArgs args) {
  let_next_start();
  ask_ahead(args.ahead);
  wait_for_previous();
  DeviceWarp warp;
  if (const std::int64_t row = warp_index(); row < args.rows) {
    norm_row<T, kChunks>(warp, args, row);
  }
}

/// The first row of a run that this warp has, and how far its next one is: a run's blocks (y) and
/// their warps take rows in turn.
__device__ __forceinline__ std::int64_t first_of_run() {
  return std::int64_t{blockIdx.y} * kWarps + threadIdx.x / kLanes;
}
__device__ __forceinline__ std::int64_t next_of_run() {
  return std::int64_t{gridDim.y} * kWarps;
}

template <class T>
__global__ void __launch_bounds__(kThreads) decode_kernel(const __grid_constant__ DecodeArgs args) {
  begin_kernel();
  DeviceWarp warp;
  const RowRun run = args.run[blockIdx.x];
  for (std::int64_t row = first_of_run(); row < run.rows; row += next_of_run()) {
    decode_row<T>(warp, args, run, row);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) join_kernel(const __grid_constant__ JoinArgs args) {
  begin_kernel();
  DeviceWarp warp;
  const RowRun run = args.run[blockIdx.x];
  for (std::int64_t row = first_of_run(); row < run.rows; row += next_of_run()) {
    join_row<T>(warp, args, run, row);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) dense_kernel(const __grid_constant__ DenseArgs args) {
  begin_kernel();
  DeviceWarp warp;
  if (const std::int64_t at = warp_index(); at < args.rows * args.outputs) {
    dense_output<T>(warp, args, at / args.outputs, at % args.outputs);
  }
}

/// f(pack) for every pack of the grid's share.
template <class F>
__device__ __forceinline__ void each_pack(std::int64_t count, const F& f) {
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads * kPacksEach + threadIdx.x;
  DEFORMER_UNROLL
  for (int i = 0; i < kPacksEach; ++i) {
    const std::int64_t pack = first + std::int64_t{i} * kThreads;
    if (pack * kPack < count) {
      f(pack);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) gelu_kernel(const __grid_constant__ GeluArgs args) {
  begin_kernel();
  each_pack(args.count, [&](std::int64_t pack) { gelu_pack<T>(args, pack); });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    quantise_kernel(const __grid_constant__ QuantiseArgs args) {
  begin_kernel();
  each_pack(args.count, [&](std::int64_t pack) { quantise_pack<T>(args, pack); });
}

template <class T>
__global__ void __launch_bounds__(kThreads) widen_kernel(const __grid_constant__ WidenArgs args) {
  begin_kernel();
  each_pack(args.count, [&](std::int64_t pack) { widen_pack<T>(args, pack); });
}

/// Blocks for these runs: one each where there are many, else enough of them to fill a device with
/// the rows of a few (a batch of one has a single passage).
dim3 run_blocks(std::int64_t runs) {
  constexpr std::int64_t kEnough = 512;
  constexpr std::int64_t kMostEach = 64;
  return {static_cast<unsigned>(runs),
          static_cast<unsigned>(std::clamp<std::int64_t>(kEnough / runs, 1, kMostEach))};
}

unsigned element_blocks(std::int64_t count) {
  return divide_up(count, std::int64_t{kPack} * kPacksEach * kThreads);
}

}  // namespace

void launch_kernel(const EmbedArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    with_chunks(args.d, [&](auto chunks) {
      queue(embed_kernel<decltype(type), decltype(chunks)::value>, divide_up(args.rows, kWarps),
            kThreads, 0, args, place, "embed");
    });
  });
}

void launch_kernel(const NormArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    with_chunks(args.d, [&](auto chunks) {
      queue(norm_kernel<decltype(type), decltype(chunks)::value>, divide_up(args.rows, kWarps),
            kThreads, 0, args, place, "norm");
    });
  });
}

void launch_kernel(const GeluArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(gelu_kernel<decltype(type)>, element_blocks(args.count), kThreads, 0, args, place,
          "gelu");
  });
}

void launch_kernel(const QuantiseArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(quantise_kernel<decltype(type)>, element_blocks(args.count), kThreads, 0, args, place,
          "quantise");
  });
}

void launch_kernel(const WidenArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(widen_kernel<decltype(type)>, element_blocks(args.count), kThreads, 0, args, place,
          "widen");
  });
}

void launch_kernel(const DecodeArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(decode_kernel<decltype(type)>, run_blocks(args.runs), kThreads, 0, args, place, "decode");
  });
}

void launch_kernel(const JoinArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(join_kernel<decltype(type)>, run_blocks(args.runs), kThreads, 0, args, place, "join");
  });
}

void launch_kernel(const DenseArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    queue(dense_kernel<decltype(type)>, divide_up(args.rows * args.outputs, kWarps), kThreads, 0,
          args, place, "dense");
  });
}

}  // namespace deformer::cuda
