// Products of few rows on the device. Their work is in kernels/skinny.cuh.

#include <cuda_runtime.h>

#include "backends/cuda/kernels/cluster.cuh"
#include "backends/cuda/kernels/device_launch.cuh"
#include "backends/cuda/kernels/skinny.cuh"

namespace deformer::cuda {
namespace {

template <class T, int kRowTiles, bool kWhole>
__global__ void __launch_bounds__(SkinnyShape<kRowTiles>::kThreads, 2)
    skinny_kernel(const __grid_constant__ SkinnyArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  using Shape = SkinnyShape<kRowTiles>;
  using Work = SkinnyBlock<T, kRowTiles, kWhole, DeviceBlock>;
  DeviceBlock block;
  Work work(block, args, static_cast<int>(blockIdx.x), shared);
  auto* arrivals = reinterpret_cast<Arrivals*>(shared + Shape::kCountAt);
  let_next_start();
  if (args.split > 1) {
    if (threadIdx.x == 0) {
      expect_bytes(arrivals, Shape::kPartBytes);  // each pair from every block
    }
    __syncwarp();
    cluster_arrive();
  }
  work.begin();
  wait_for_previous();
  work.multiply();
  if (args.split > 1) {
    cluster_wait();  // all have begun, so that there is memory of theirs to write to
  }
  work.hand_over([&](int rank, typename Work::Two* own, const typename Work::Two& two) {
    send(rank, own, arrivals, two.first, two.second);
  });
  if (args.split > 1) {
    await_bytes(arrivals);  // nobody writes to this block any more: it may end when it likes
  }
  work.finish();
}

/// f(kernel, shape) for these arguments.
template <class F>
void with_kernel(const SkinnyArgs& args, const F& f) {
  with_skinny_tiles(args, [&](auto rows, auto whole) {
    constexpr int kRowTiles = decltype(rows)::value;
    constexpr bool kWhole = decltype(whole)::value;
    if (args.element == Element::bf16) {
      f(skinny_kernel<Bf16, kRowTiles, kWhole>, SkinnyShape<kRowTiles>{});
    } else {
      f(skinny_kernel<F16, kRowTiles, kWhole>, SkinnyShape<kRowTiles>{});
    }
  });
}

}  // namespace

bool prepare_skinny_kernel(const SkinnyArgs& args, std::int64_t shared_bytes_block) {
  if (!skinny_fits(args, shared_bytes_block)) {
    return false;
  }
  with_kernel(args, [&](auto kernel, auto) {  // all there is: a kernel serves several widths
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes_block)),
          "asking for shared memory");
  });
  return true;
}

void launch_kernel(const SkinnyArgs& args, const LaunchPlace& place) {
  with_kernel(args, [&](auto kernel, auto shape) {
    queue(kernel, static_cast<unsigned>(shape.blocks(args.out, args.split)), shape.kThreads,
          static_cast<int>(shape.bytes(args.in, args.split)), args, place, "a product of few rows",
          args.split);
  });
}

}  // namespace deformer::cuda
