// The row kernels on the device: which warp does which row. Their work is in kernels/rows.cuh,
// copies.cuh and elements.cuh.

#include <cuda_runtime.h>

#include <algorithm>

#include "backends/cuda/kernels/async_copy.cuh"
#include "backends/cuda/kernels/copies.cuh"
#include "backends/cuda/kernels/device_launch.cuh"
#include "backends/cuda/kernels/dispatch.hpp"
#include "backends/cuda/kernels/elements.cuh"

namespace deformer::cuda {
namespace {

/// Warps of a block, where there are rows for them.
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kLanes;

/// Blocks that copy at once on a multiprocessor: 64 KB under way in each of them.
constexpr int kCopyBlocks = 8;

/// Blocks that a multiprocessor has room for, where a lane holds a row's values, `kNext` rows for
/// the next one, and about 40 registers more.
template <class Shape, int kNext>
constexpr int row_blocks() {
  constexpr int kValues = Shape::kPacks * Shape::kWide;
  constexpr int kRegisters =
      kValues + kNext * kValues * static_cast<int>(sizeof(typename Shape::T)) / 4;
  return kRegisters <= 48 ? 5 : kRegisters <= 64 ? 4 : kRegisters <= 96 ? 3 : 2;
}
/// A norm's next row is itself and what is added to it.
template <class Shape>
constexpr int norm_blocks() {
  return row_blocks<Shape, 2>();
}
/// Of an embedding it is a word, a position and a type.
template <class Shape>
constexpr int embed_blocks() {
  return row_blocks<Shape, 3>();
}

/// This warp among all of the grid, in x.
__device__ __forceinline__ std::int64_t warp_index() {
  return (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kLanes;
}
__device__ __forceinline__ std::int64_t warp_count() {
  return std::int64_t{gridDim.x} * blockDim.x / kLanes;
}

/// A norm's parameters on their way into a block's shared memory, while rows are on theirs.
class SharedParameters {
 public:
  /// Asks for them; they are constants. Null parameters: of nothing.
  __device__ __forceinline__ SharedParameters(float* shared, const float* parameters,
                                              std::int64_t d)
      : shared_(shared) {
    constexpr int kFloats = sizeof(Words) / sizeof(float);
    const std::int64_t count = parameters != nullptr ? 2 * d : 0;
    for (std::int64_t at = std::int64_t{threadIdx.x} * kFloats; at < count;
         at += std::int64_t{blockDim.x} * kFloats) {
      copy_async<sizeof(Words)>(shared + at, parameters + at, true);
    }
  }
  /// When all threads of the block have come here, they lie there.
  __device__ __forceinline__ const float* wait() const {
    wait_for_copies();
    __syncthreads();
    return shared_;
  }

 private:
  const float* shared_;
};

/// What an embedding kernel is told beside its arguments.
struct EmbedLaunch {
  EmbedArgs args;
  int rows;  ///< of a block, at most kThreads
};

/// A block finds its rows with one read of ids: from the host's memory those come one small packet
/// a read.
template <class Shape>
__global__ void __launch_bounds__(kThreads, embed_blocks<Shape>())
    embed_kernel(const __grid_constant__ EmbedLaunch launch) {
  __shared__ __align__(16) float shared[2 * Shape::kElements];
  __shared__ EmbedRow found[kThreads];
  const EmbedArgs& args = launch.args;
  let_next_start();
  const SharedParameters parameters(shared, args.norm.parameters, args.d);
  const std::int64_t begin = std::int64_t{blockIdx.x} * launch.rows;
  const std::int64_t end = begin + launch.rows < args.rows ? begin + launch.rows : args.rows;
  wait_for_previous();
  if (begin + threadIdx.x < end) {
    found[threadIdx.x] = find_row(args, begin + threadIdx.x);
  }
  __syncthreads();
  DeviceWarp warp;
  embed_rows<Shape>(
      warp, args, begin + threadIdx.x / kLanes, kWarps, end,
      [&](std::int64_t row) { return found[row - begin]; }, [&] { return parameters.wait(); });
}

template <class Shape>
__global__ void __launch_bounds__(kThreads, norm_blocks<Shape>())
    norm_kernel(const __grid_constant__ NormArgs args) {
  __shared__ __align__(16) float shared[2 * Shape::kElements];
  let_next_start();
  const SharedParameters parameters(shared, args.norm.parameters, args.d);
  DeviceWarp warp;
  norm_rows<Shape>(
      warp, args, warp_index(), warp_count(), [] { wait_for_previous(); },
      [&] { return parameters.wait(); });
}

/// The share of a run that this warp has, and of how many: blocks of a run lie in y.
__device__ __forceinline__ std::int64_t part_of_run() {
  return std::int64_t{blockIdx.y} * kWarps + threadIdx.x / kLanes;
}
__device__ __forceinline__ std::int64_t parts_of_run() {
  return std::int64_t{gridDim.y} * kWarps;
}

template <class T, bool kPadded>
__global__ void __launch_bounds__(kThreads, kCopyBlocks)
    decode_kernel(const __grid_constant__ DecodeArgs args) {
  let_next_start();
  DeviceWarp warp;
  const RowRun run = args.run[blockIdx.x];
  wait_for_previous();
  decode_part<T, kPadded>(warp, args, run, part_of_run(), parts_of_run());
}

template <class T>
__global__ void __launch_bounds__(kThreads, kCopyBlocks)
    join_kernel(const __grid_constant__ JoinArgs args) {
  let_next_start();
  DeviceWarp warp;
  const RowRun run = args.run[blockIdx.x];
  wait_for_previous();
  join_part<T>(warp, args, run, part_of_run(), parts_of_run());
}

template <class T>
__global__ void __launch_bounds__(kThreads) dense_kernel(const __grid_constant__ DenseArgs args) {
  begin_kernel();
  DeviceWarp warp;
  if (const std::int64_t at = warp_index(); at < args.rows * args.outputs) {
    dense_output<T>(warp, args, at / args.outputs, at % args.outputs);
  }
}

/// The first word of this thread; its next is kThreads further. Blocks begin at the end: what the
/// kernel before wrote last is what a cache still holds, and what this one writes last, the first
/// rows, is what the next one reads first.
__device__ __forceinline__ std::int64_t first_word() {
  return std::int64_t{gridDim.x - 1 - blockIdx.x} * kThreads * kElementWords + threadIdx.x;
}

template <class T>
__global__ void __launch_bounds__(kThreads) gelu_kernel(const __grid_constant__ GeluArgs args) {
  begin_kernel();
  gelu_words<T>(args, first_word(), kThreads);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    quantise_kernel(const __grid_constant__ QuantiseArgs args) {
  begin_kernel();
  quantise_words<T>(args, first_word(), kThreads);
}

template <class T>
__global__ void __launch_bounds__(kThreads) widen_kernel(const __grid_constant__ WidenArgs args) {
  begin_kernel();
  widen_words<T>(args, first_word(), kThreads);
}

std::int64_t processors() {
  static const std::int64_t count = [] {
    int device = 0;
    int found = 0;
    check(cudaGetDevice(&device), "reading the device");
    check(cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device),
          "reading the device");
    return std::int64_t{found};
  }();
  return count;
}

struct RowGrid {
  unsigned blocks;
  int threads;
};

/// A warp a row, in blocks so small that few rows reach all multiprocessors. (H100: a forward of
/// 384 rows took 462 us with one warp a block, 466 with two; a cached one, of 864 in most layers,
/// 1.41 and 1.39 ms.)
RowGrid row_grid(std::int64_t rows) {
  const std::int64_t each = divide_up(rows, 4 * processors());  // a multiprocessor's, in fours
  const int warps = each <= 1 ? 1 : each <= 2 ? 2 : kWarps;
  return {divide_up(rows, warps), warps * kLanes};
}

/// Blocks for these runs: one each where there are many, else enough of them to fill a device with
/// the rows of a few (a batch of one has a single passage).
dim3 run_blocks(std::int64_t runs) {
  constexpr std::int64_t kEnough = 1024;
  constexpr std::int64_t kMostEach = 64;
  return {static_cast<unsigned>(runs),
          static_cast<unsigned>(std::clamp<std::int64_t>(kEnough / runs, 1, kMostEach))};
}

template <class T>
unsigned element_blocks(std::int64_t count) {
  return divide_up(count, std::int64_t{kWidest<T>} * kElementWords * kThreads);
}

}  // namespace

void launch_kernel(const EmbedArgs& args, const LaunchPlace& place) {
  with_row_shape(args.element, args.d, args.padding, [&](auto shape) {
    using Shape = decltype(shape);
    // As many as there is room for at once, if a block can take that many rows.
    const std::int64_t warps = embed_blocks<Shape>() * processors() * kWarps;
    const std::int64_t each = std::clamp<std::int64_t>(divide_up(args.rows, warps), 1, kLanes);
    const int rows = kWarps * static_cast<int>(each);
    queue(embed_kernel<Shape>, divide_up(args.rows, rows), kThreads, 0, EmbedLaunch{args, rows},
          place, "embed");
  });
}

void launch_kernel(const NormArgs& args, const LaunchPlace& place) {
  with_row_shape(args.element, args.d, args.padding, [&](auto shape) {
    using Shape = decltype(shape);
    RowGrid grid = row_grid(args.rows);
    if (grid.threads == kThreads) {  // no more than there is room for: a warp takes several rows
      grid.blocks =
          std::min(grid.blocks, static_cast<unsigned>(norm_blocks<Shape>() * processors()));
    }
    queue(norm_kernel<Shape>, grid.blocks, grid.threads, 0, args, place, "norm");
  });
}

void launch_kernel(const GeluArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    using T = decltype(type);
    queue(gelu_kernel<T>, element_blocks<T>(args.count), kThreads, 0, args, place, "gelu");
  });
}

void launch_kernel(const QuantiseArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    using T = decltype(type);
    queue(quantise_kernel<T>, element_blocks<T>(args.count), kThreads, 0, args, place, "quantise");
  });
}

void launch_kernel(const WidenArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    using T = decltype(type);
    queue(widen_kernel<T>, element_blocks<T>(args.count), kThreads, 0, args, place, "widen");
  });
}

void launch_kernel(const DecodeArgs& args, const LaunchPlace& place) {
  with_element(args.element, [&](auto type) {
    using T = decltype(type);
    auto* const kernel = args.padding > 0 ? decode_kernel<T, true> : decode_kernel<T, false>;
    queue(kernel, run_blocks(args.runs), kThreads, 0, args, place, "decode");
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
