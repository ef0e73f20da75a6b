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
                                                 Sharing::kQueries, queries());
      });
    });
  }

  /// Begins to copy a tile of keys and values, if there is such a one; a group of its own.
  DEFORMER_PORTABLE void copy_tile(int tile) {
    const int first_key = kKeys * tile;
    if (first_key < rows_.place.tokens) {
      const int count = rows_.place.tokens - first_key;
      const int limit = Sharing::kKeyWarps > 1 ? (count + 15) / 16 * 16 : kKeys;
      with_pack([&](auto pack) {
        block_.each_alone([&](int thread) {
          copy_rows<pack.value, kKeys>(thread, rows_.source(1, first_key), count, limit,
                                       keys(tile));
          copy_rows<pack.value, kKeys>(thread, rows_.source(2, first_key), count, limit,
                                       values(tile));
        });
      });
    }
    block_.commit();
  }

 private:
  /// Begins to copy `count` rows of a head from `source` on to the first of kRows rows of a tile,
  /// and zeros to those after them below `limit`.
  template <int kPack, int kRows>
  DEFORMER_PORTABLE void copy_rows(int thread, const T* source, int count, int limit, T* tile) {
    constexpr int kPacks = kWide / kPack;
    constexpr int kRowsAtOnce = kBlockThreads / kPacks;
    static_assert(kRows % kRowsAtOnce == 0);
    const std::int64_t stride = rows_.stride();
    const int first = thread / kPacks;
    const int at = thread % kPacks * kPack;
    const T* from = source + first * stride + at;
    T* to = tile + first * kPitch + at;
    DEFORMER_UNROLL
    for (int row = 0; row < kRows; row += kRowsAtOnce) {
      if (first + row < limit) {
        const bool there = first + row < count && at < rows_.args.d_head;
        block_.template copy<kPack * 2>(to + row * kPitch, there ? from : source, there);
      }
      from += kRowsAtOnce * stride;
    }
  }

  Block& block_;
  const HeadRows<T> rows_;
  unsigned char* shared_;
};

}  // namespace deformer::cuda
