#pragma once
/// A product kernel of CUTLASS's with bias and erf GELU, by tile.
///
/// As with cuBLASLt the outs are what CUTLASS calls M and the rows N: Y^T = W X^T. The weights'
/// rows fill tiles of 128 exactly, and the tile's other side can be as narrow as few rows
/// are. The bias then runs down M. Operands are read, and the result is written, by the tensor
/// memory accelerator, whose descriptors the host makes at each call and passes as arguments.
///
/// Each kernel may start before the one in front of it has ended: its warps that load wait
/// (griddepcontrol.wait) before the first load, and all others wait for what those load. The bias
/// alone is read without waiting, which is why it must be no kernel's result.

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include <cutlass/cutlass.h>
#include <cutlass/version.h>

#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include "backends/cuda/cutlass/tiles.hpp"
#include "backends/cuda/kernels/gelu_odds.cuh"

namespace deformer::cuda {

/// GELU as CUTLASS applies it, to registers of sums.
template <class T>
struct TileGelu {
  static constexpr bool kIsHeavy = true;
  CUTLASS_HOST_DEVICE T operator()(const T& value) const { return gelu_erf_by_odds(value); }
};
template <class T, int kCount>
struct TileGelu<cutlass::Array<T, kCount>> {
  static constexpr bool kIsHeavy = true;
  CUTLASS_HOST_DEVICE cutlass::Array<T, kCount> operator()(
      const cutlass::Array<T, kCount>& values) const {
    cutlass::Array<T, kCount> result;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < kCount; ++i) {
      result[i] = gelu_erf_by_odds(values[i]);
    }
    return result;
  }
};

struct Pingpong {
  using Main = cutlass::gemm::KernelTmaWarpSpecializedPingpong;
  using End = cutlass::epilogue::TmaWarpSpecialized;
};
struct Cooperative {
  using Main = cutlass::gemm::KernelTmaWarpSpecializedCooperative;
  using End = cutlass::epilogue::TmaWarpSpecializedCooperative;
};

/// kOut x kRows x kIn a tile, kCluster blocks side by side that share a tile of rows. As many
/// tiles of operands are on their way at once as there is shared memory for.
template <int kOut, int kRows, int kIn, int kCluster, class Schedule>
class GeluProduct {
  template <int... kSizes>
  using Sizes = cute::Shape<cute::Int<kSizes>...>;
  using Element = cutlass::bfloat16_t;
  using Tile = Sizes<kOut, kRows, kIn>;
  using Cluster = Sizes<kCluster, 1, 1>;
  using Result = cutlass::layout::ColumnMajor;

  static constexpr auto kRound = cutlass::FloatRoundStyle::round_to_nearest;
  template <class Node, class... Of>
  using Tree = cutlass::epilogue::fusion::Sm90EVT<Node, Of...>;
  using Biased =
      Tree<cutlass::epilogue::fusion::Sm90Compute<cutlass::plus, float, float, kRound>,
           cutlass::epilogue::fusion::Sm90ColBroadcast<
               0, Tile, Element, float, cute::Stride<cute::_1, cute::_0, std::int64_t>, 8>,
           cutlass::epilogue::fusion::Sm90AccFetch>;
  using Finished =
      Tree<cutlass::epilogue::fusion::Sm90Compute<TileGelu, Element, float, kRound>, Biased>;

  using End = typename cutlass::epilogue::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster,
      cutlass::epilogue::collective::EpilogueTileAuto, float, float, void, Result, 8, Element,
      Result, 8, typename Schedule::End, Finished>::CollectiveOp;
  using Stages = cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
      sizeof(typename End::SharedStorage))>;
  using Main = typename cutlass::gemm::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, cutlass::layout::RowMajor, 8,
      Element, cutlass::layout::ColumnMajor, 8, float, Tile, Cluster, Stages,
      typename Schedule::Main>::CollectiveOp;

 public:
  /// Of its own type, so that its name, which profilers show, is short.
  struct Kernel : cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Main, End> {
  };

 private:
  using Gemm = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;

  static typename Gemm::Arguments arguments(const ProductArgs& args) {
    const auto out = static_cast<int>(args.problem.out());
    const auto rows = static_cast<int>(args.problem.rows());
    const auto in = static_cast<int>(args.problem.in());
    typename Gemm::Arguments described{};
    described.mode = cutlass::gemm::GemmUniversalMode::kGemm;
    described.problem_shape = {out, rows, in, 1};
    described.mainloop.ptr_A = static_cast<const Element*>(args.weights);
    described.mainloop.dA = typename Kernel::StrideA{args.problem.in(), cute::_1{}, 0};
    described.mainloop.ptr_B = static_cast<const Element*>(args.source);
    described.mainloop.dB = typename Kernel::StrideB{args.problem.in(), cute::_1{}, 0};
    described.epilogue.thread = {{{static_cast<const Element*>(args.bias), Element(0), {}}, {}, {}},
                                 {}};
    described.epilogue.ptr_D = static_cast<Element*>(args.result);
    described.epilogue.dD = typename Kernel::StrideD{cute::_1{}, args.problem.out(), 0};
    described.hw_info.sm_count = cutlass::KernelHardwareInfo::query_device_multiprocessor_count();
    return described;
  }

  static std::string refused(const char* what, cutlass::Status status) {
    return std::string(what) + ": " + cutlass::cutlassGetStatusString(status);
  }

 public:
  /// CutlassTile's.
  static std::string queue(const ProductArgs& args, void* workspace, std::int64_t workspace_bytes,
                           const LaunchPlace& place) {
    for (const void* operand : {args.weights, args.source, static_cast<const void*>(args.result)}) {
      if (reinterpret_cast<std::uintptr_t>(operand) % 16 != 0) {
        return "an operand that is not aligned to 16 bytes";
      }
    }
    const typename Gemm::Arguments described = arguments(args);
    if (const auto status = Gemm::can_implement(described); status != cutlass::Status::kSuccess) {
      return refused("the problem", status);
    }
    if (Gemm::get_workspace_size(described) > static_cast<std::size_t>(workspace_bytes)) {
      return "more workspace than there is";
    }
    Gemm gemm;
    if (const auto status = gemm.initialize(described, workspace, place.stream);
        status != cutlass::Status::kSuccess) {
      return refused("the start", status);
    }
    const auto status = gemm.run(place.stream, nullptr, place.early);
    return status == cutlass::Status::kSuccess ? "" : refused("the launch", status);
  }
};

}  // namespace deformer::cuda
