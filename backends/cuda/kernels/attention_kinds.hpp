#pragma once
/// The attention kernels there are, and which of them serves given arguments. A kind says
///   kQueries, kThreads       of a block
///   kBlocksAtOnce            blocks that a multiprocessor shall have registers for
///   bytes(longest)           of shared memory for sequences up to so long
///   Work<Block>(block, args, place, head, shared).run()

#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/attention.cuh"
#include "backends/cuda/kernels/dispatch.hpp"
#include "backends/cuda/kernels/tiled_attention.cuh"

namespace deformer::cuda {

template <class T, int kWide, bool kRelative>
struct SimpleAttention {
  static constexpr int kQueries = kQueryBlock;
  static constexpr int kThreads = kBlockThreads;
  static constexpr int kBlocksAtOnce = 0;
  static constexpr int bytes(std::int64_t) { return AttentionShape<T, kWide, kRelative>::kBytes; }
  template <class Block>
  using Work = AttentionBlock<T, kWide, kRelative, Block>;
};

template <class T, int kWide, class Sharing, int kAtOnce>
struct SharedAttention {
  using Shared = Sharing;
  static constexpr int kQueries = Sharing::kQueries;
  static constexpr int kThreads = Sharing::kThreads;
  static constexpr int kBlocksAtOnce = kAtOnce;
  static constexpr int bytes(std::int64_t longest) {
    return TiledShape<kWide, Sharing>::bytes(longest);
  }
  template <class Block>
  using Work = TiledAttention<T, kWide, Sharing, Block>;
};

/// f(Kind{}) for one of the forms that heads of this width have.
template <class T, int kWide, class F>
void with_form(AttentionForm form, const F& f) {
  constexpr bool kEven = kWide <= kWidestEven;
  if constexpr (kEven) {
    switch (form) {
      case AttentionForm::tall:
        return f(SharedAttention<T, kWide, WarpSharing<4, 1, 2, 4>, 2>{});
      case AttentionForm::split:
        return f(SharedAttention<T, kWide, WarpSharing<1, 4, 2, 2>, 3>{});
      case AttentionForm::even:
        return f(SharedAttention<T, kWide, WarpSharing<4, 1, 1, 4>, 4>{});
      case AttentionForm::brief:
        return f(SharedAttention<T, kWide, WarpSharing<4, 1, 1, 2>, 5>{});
      case AttentionForm::broad:
        return f(SharedAttention<T, kWide, WarpSharing<2, 4, 2, 2>, 1>{});
    }
  } else if (form == AttentionForm::tall) {
    f(SharedAttention<T, kWide, WarpSharing<4, 1, 1, 4>, 2>{});
  } else {
    f(SharedAttention<T, kWide, WarpSharing<2, 2, 1, 2>, 2>{});
  }
}

/// f(Kind{}), by args.form where bf16 and f16 have no relative terms. Wide heads have registers for
/// 16 queries a warp only.
template <class F>
void with_attention(const AttentionArgs& args, const F& f) {
  with_element(args.element, [&](auto type) {
    with_head(args.d_head, [&](auto wide) {
      using T = decltype(type);
      constexpr int kWide = decltype(wide)::value;
      if (args.relative.keys != nullptr) {
        f(SimpleAttention<T, kWide, true>{});
      } else if constexpr (sizeof(T) != 2) {
        f(SimpleAttention<T, kWide, false>{});
      } else {
        with_form<T, kWide>(args.form, f);
      }
    });
  });
}

}  // namespace deformer::cuda
