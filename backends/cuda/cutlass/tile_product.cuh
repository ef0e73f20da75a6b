#pragma once
/// A product kernel of CUTLASS's, by what finishes it and by tile.
///
/// As with cuBLASLt the outs are what CUTLASS calls M and the rows N: Y^T = W X^T. The weights'
/// rows fill tiles of 64 or 128 exactly, and the tile's other side can be as narrow as few rows
/// are. The bias then runs down M. Operands are read, and the result is written, by the tensor
/// memory accelerator, whose descriptors the host makes at each call and passes as arguments.
///
/// Each kernel may start before the one in front of it has ended. Where CUTLASS 4.2.0 waits
/// (griddepcontrol.wait), by line of gemm/kernel/sm90_gemm_tma_warpspecialized*.hpp:
///
///   schedule      before it loads source and weights   before what is added   lets the next start
///   Cooperative   588                                  705, its own warp      798
///   Pingpong      625                                  744, its own warp      876; 810 of a group
///
/// Both loads of another kernel's results so stand behind a wait of the warp that issues them (in
/// their machine code no UTMALDG is without an ACQBULK in front); all other warps work on what
/// those loaded, so none writes before. The warp that loads waits in every block, with a tile or
/// without, so no kernel ends before the one in front of it. Letting the next one start is a hint:
/// it waits itself, for the end of this one. The bias alone is read without waiting, which is why
/// it must be no kernel's result.

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

// How a block's warps share the work.

/// Two groups take turns, a tile each: while one finishes its tile, the other multiplies.
struct Pingpong {
  using Main = cutlass::gemm::KernelTmaWarpSpecializedPingpong;
  using End = cutlass::epilogue::TmaWarpSpecialized;
};
/// Two groups share a tile.
struct Cooperative {
  using Main = cutlass::gemm::KernelTmaWarpSpecializedCooperative;
  using End = cutlass::epilogue::TmaWarpSpecializedCooperative;
};
// What finishes a product, of sums in f32 and rounded once.

using TileElement = cutlass::bfloat16_t;
inline constexpr auto kTileRound = cutlass::FloatRoundStyle::round_to_nearest;

template <class Node, class... Of>
using TileTree = cutlass::epilogue::fusion::Sm90EVT<Node, Of...>;
template <template <class> class Operation, class Element>
using TileCompute = cutlass::epilogue::fusion::Sm90Compute<Operation, Element, float, kTileRound>;
template <class Tile>
using TileBiased =
    TileTree<TileCompute<cutlass::plus, float>,
             cutlass::epilogue::fusion::Sm90ColBroadcast<
                 0, Tile, TileElement, float, cute::Stride<cute::_1, cute::_0, std::int64_t>, 8>,
             cutlass::epilogue::fusion::Sm90AccFetch>;

/// gelu_erf(sum + bias)
struct BiasErfGelu {
  using Source = void;
  template <class Tile>
  using Tree = TileTree<TileCompute<TileGelu, TileElement>, TileBiased<Tile>>;

  template <class Arguments>
  static void describe(Arguments& described, const ProductArgs& args) {
    described.thread = {{{static_cast<const TileElement*>(args.bias), TileElement(0), {}}, {}, {}},
                        {}};
  }
};

/// beta result + (sum + bias), beta 0 or 1. What is added lies where the result goes: each block
/// loads its tile of it, part by part, before it stores that part, and no block loads another's.
/// With 0 nothing is loaded, so this is a plain bias as well.
struct BiasOnto {
  using Source = TileElement;
  template <class Tile>
  using Tree = TileTree<TileCompute<cutlass::homogeneous_multiply_add, TileElement>,
                        cutlass::epilogue::fusion::Sm90ScalarBroadcast<float>,
                        cutlass::epilogue::fusion::Sm90SrcFetch<TileElement>, TileBiased<Tile>>;

  template <class Arguments>
  static void describe(Arguments& described, const ProductArgs& args) {
    described.thread = {{{args.problem.beta}, {}, {}},
                        {},
                        {{static_cast<const TileElement*>(args.bias), TileElement(0), {}}, {}, {}},
                        {}};
    described.ptr_C = static_cast<const TileElement*>(args.result);
    described.dC = {cute::_1{}, args.problem.out(), 0};
  }
};

/// kOut x kRows x kIn a tile. kOuts x kSide blocks beside one another: those of one tile of rows
/// share its loads, and so do those of one tile of outs. As many tiles of operands are on their way
/// at once as there is shared memory for.
template <class Finish, int kOut, int kRows, int kIn, int kOuts, int kSide, class Schedule>
class TileProduct {
  template <int... kSizes>
  using Sizes = cute::Shape<cute::Int<kSizes>...>;
  using Element = TileElement;
  using Tile = Sizes<kOut, kRows, kIn>;
  using Cluster = Sizes<kOuts, kSide, 1>;
  using Result = cutlass::layout::ColumnMajor;

  using End = typename cutlass::epilogue::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster,
      cutlass::epilogue::collective::EpilogueTileAuto, float, float, typename Finish::Source,
      Result, 8, Element, Result, 8, typename Schedule::End,
      typename Finish::template Tree<Tile>>::CollectiveOp;
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
    Finish::describe(described.epilogue, args);
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
