#pragma once
/// Attention by tiles: shared memory, and what is copied into it while the tile before is worked
/// on.

#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/head_rows.cuh"
#include "backends/cuda/kernels/tiled_shape.hpp"

namespace deformer::cuda {

template <class T, int kWide, class Sharing, class Block>
class TiledMemory {
  using Shape = TiledShape<kWide, Sharing>;
  static constexpr int kPitch = Shape::kPitch;
  static constexpr int kKeys = Sharing::kKeys;

 public:
  DEFORMER_PORTABLE TiledMemory(Block& block, const HeadRows<T>& rows, unsigned char* shared)
      : block_(block), rows_(rows), shared_(shared) {}

  DEFORMER_PORTABLE T* queries() const { return reinterpret_cast<T*>(shared_); }
  DEFORMER_PORTABLE T* keys(int tile) const {
    return reinterpret_cast<T*>(shared_ + Shape::kTileAt +
                                tile % Shape::kStages * Shape::kStageBytes);
  }
  DEFORMER_PORTABLE T* values(int tile) const { return keys(tile) + kKeys * kPitch; }
  /// [kKeyWarps][kQueries] pairs of largest score and sum.
  DEFORMER_PORTABLE float* totals() const { return reinterpret_cast<float*>(shared_); }
  /// [kKeyWarps][kQueries][kPartPitch]
  DEFORMER_PORTABLE float* parts() const {
    return reinterpret_cast<float*>(shared_ + Shape::kTileAt);
  }

  /// f(integral constant): how many elements lie aligned at once, 8 or 4.
  template <class F>
  DEFORMER_PORTABLE void with_pack(const F& f) const {
    if (rows_.args.d_head % 8 == 0) {
      f(std::integral_constant<int, 8>{});
    } else {
      f(std::integral_constant<int, 4>{});
    }
  }

  /// Begins to copy the block's queries; of the group that the next tile is.
  DEFORMER_PORTABLE void copy_queries() {
    with_pack([&](auto pack) {
      block_.each_alone([&](int thread) {
        copy_rows<pack.value, Sharing::kQueries>(thread, rows_.source(0, rows_.place.first_query),
                                                 rows_.place.tokens - rows_.place.first_query,
                                                 queries());
      });
    });
  }

  DEFORMER_PORTABLE bool has_tile(int tile) const { return kKeys * tile < rows_.place.tokens; }

  /// Begins to copy a tile of keys and values, if there is such a one; a group of its own.
  DEFORMER_PORTABLE void copy_tile(int tile) {
    if (has_tile(tile)) {
      const int first_key = kKeys * tile;
      const int count = rows_.place.tokens - first_key;
      with_pack([&](auto pack) {
        block_.each_alone([&](int thread) {
          copy_rows<pack.value, kKeys>(thread, rows_.source(1, first_key), count, keys(tile));
          copy_rows<pack.value, kKeys>(thread, rows_.source(2, first_key), count, values(tile));
        });
      });
    }
    block_.commit();
  }

 private:
  /// Begins to copy `count` rows of a head from `source` on to the first of kRows rows of a tile,
  /// and zeros to those after them. A thread's copies differ in little but a constant: a branch
  /// around each made it twelve instructions of addresses a copy.
  template <int kPack, int kRows>
  DEFORMER_PORTABLE void copy_rows(int thread, const T* source, int count, T* tile) {
    constexpr int kPacks = kWide / kPack;
    constexpr int kRowsAtOnce = Sharing::kThreads / kPacks;
    static_assert(kRows % kRowsAtOnce == 0 || kRows < kRowsAtOnce);
    const std::int64_t step = kRowsAtOnce * rows_.stride();
    const int mine = afresh(thread);
    const int first = mine / kPacks;
    const int at = mine % kPacks * kPack;
    if (kRows < kRowsAtOnce && first >= kRows) {
      return;
    }
    const int left = at < rows_.args.d_head ? count - first : 0;
    const T* from = source + first * rows_.stride() + at;
    T* to = tile + first * kPitch + at;
    DEFORMER_UNROLL
    for (int row = 0; row < kRows; row += kRowsAtOnce) {
      const bool there = row < left;
      block_.template copy<kPack * 2>(to + row * kPitch, there ? from : source, there);
      from += step;
    }
  }

  Block& block_;
  const HeadRows<T> rows_;
  unsigned char* shared_;
};

}  // namespace deformer::cuda
