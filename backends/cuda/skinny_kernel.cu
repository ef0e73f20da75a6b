// Products of few rows on the device: a block 8 or 16 outputs. Their work is in kernels/skinny.cuh.

#include <cuda_runtime.h>

#include "backends/cuda/kernels/device_launch.cuh"
#include "backends/cuda/kernels/skinny.cuh"

namespace deformer::cuda {
namespace {

template <class T, int kRowTiles, int kOutTiles>
__global__ void __launch_bounds__(SkinnyShape<T, kRowTiles, kOutTiles>::kThreads, 2)
    skinny_kernel(const __grid_constant__ SkinnyArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  DeviceBlock block;
  SkinnyBlock<T, kRowTiles, kOutTiles, DeviceBlock> work(block, args, static_cast<int>(blockIdx.x),
                                                         shared);
  let_next_start();
  work.begin();
  wait_for_previous();
  work.finish();
}

/// f(kernel, bytes of shared memory, outputs a block) for these arguments.
template <class F>
void with_kernel(const SkinnyArgs& args, const F& f) {
  with_skinny_tiles(args.rows, args.out, [&](auto rows, auto outs) {
    constexpr int kRowTiles = decltype(rows)::value;
    constexpr int kOutTiles = decltype(outs)::value;
    if (args.element == Element::bf16) {
      using Shape = SkinnyShape<Bf16, kRowTiles, kOutTiles>;
      f(skinny_kernel<Bf16, kRowTiles, kOutTiles>, Shape::bytes(args.in), Shape::kOuts);
    } else {
      using Shape = SkinnyShape<F16, kRowTiles, kOutTiles>;
      f(skinny_kernel<F16, kRowTiles, kOutTiles>, Shape::bytes(args.in), Shape::kOuts);
    }
  });
}

}  // namespace

bool prepare_skinny_kernel(const SkinnyArgs& args, std::int64_t shared_bytes_block) {
  bool fits = false;
  with_kernel(args, [&](auto kernel, int bytes, int) {
    fits = bytes <= shared_bytes_block;
    if (fits) {  // all there is: a kernel serves products of several widths
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes_block)),
            "asking for shared memory");
    }
  });
  return fits;
}

void launch_kernel(const SkinnyArgs& args, const LaunchPlace& place) {
  with_kernel(args, [&](auto kernel, int bytes, int outs) {
    queue(kernel, divide_up(args.out, outs), 256, bytes, args, place, "a product of few rows");
  });
}

}  // namespace deformer::cuda
