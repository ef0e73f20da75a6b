#pragma once
/// Attention by tiles: which thread of a block has what, and where it lies in shared memory.
///
/// A thread has two rows, g and g + 8, of each 16 queries, and of every 8 columns 2t and 2t + 1:
/// block.cuh says which g and t. Heads are padded with zeros to kWide.

#include <cstdint>

#include "backends/cuda/kernels/block.cuh"

namespace deformer::cuda {

/// The warps of a block are kRowWarps by kKeyWarps. Warps of one row have the same queries and
/// every kKeyWarps-th 16 keys of each tile.
///   kRowTiles  16s of queries a warp
///   kGroups    16s of keys that a warp has in a tile
template <int kRowWarps_, int kKeyWarps_, int kRowTiles_, int kGroups_>
struct WarpSharing {
  static constexpr int kRowWarps = kRowWarps_;
  static constexpr int kKeyWarps = kKeyWarps_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kGroups = kGroups_;
  static constexpr int kThreads = 32 * kRowWarps * kKeyWarps;
  static constexpr int kQueries = 16 * kRowTiles * kRowWarps;
  static constexpr int kKeys = 16 * kGroups * kKeyWarps;
  /// Whether groups of a tile that hold no key are left out. That is for short sequences: asking
  /// before each keeps the products of a warp's groups one after another, while eight warps share
  /// the keys of long ones.
  static constexpr bool kLeavesOut = kKeyWarps > 1 && kThreads == 128;

  static DEFORMER_PORTABLE int row_warp(int thread) { return thread / 32 % kRowWarps; }
  static DEFORMER_PORTABLE int key_warp(int thread) { return thread / 32 / kRowWarps; }
  /// The block's row of the thread's row g.
  static DEFORMER_PORTABLE int row_of(int thread, int row_tile) {
    return 16 * (kRowTiles * row_warp(thread) + row_tile) + thread % 32 / 4;
  }
  static DEFORMER_PORTABLE int column_of(int thread) { return thread % 4 * 2; }
  /// First key, in a tile, of a group of the thread's warp.
  static DEFORMER_PORTABLE int key_of(int thread, int group) {
    return 16 * (kKeyWarps * group + key_warp(thread));
  }
};

/// Parts of shared memory, in bytes: queries (later what is said of kTotals, or results), and
/// kStages tiles of keys and of values (later partial sums).
template <int kWide, class Sharing>
struct TiledShape {
  /// Elements from one row to the next: 16 bytes farther, so that the 8 rows of a matrix lie in
  /// different banks.
  static constexpr int kPitch = kWide + 8;
  static constexpr int kRowBytes = 2 * kPitch;
  static constexpr int kStages = 2;
  static constexpr int kTileAt = Sharing::kQueries * kRowBytes;
  static constexpr int kTileBytes = Sharing::kKeys * kRowBytes;
  static constexpr int kStageBytes = 2 * kTileBytes;

  static constexpr int kPartPitch = kWide + 8;  ///< floats of a row of a warp's sums
  static constexpr int kPartBytes =
      Sharing::kKeyWarps > 1 ? Sharing::kKeyWarps* Sharing::kQueries* kPartPitch * 4 : 0;
  static_assert(Sharing::kKeyWarps * Sharing::kQueries * 8 <= kTileAt);

  /// Shorter sequences do with one tile, where that holds the sums.
  static constexpr int bytes(std::int64_t longest) {
    const int tiles = (longest > Sharing::kKeys ? kStages : 1) * kStageBytes;
    return kTileAt + (tiles > kPartBytes ? tiles : kPartBytes);
  }
  static_assert(bytes(Sharing::kKeys + 1) <= 99 * 1024,
                "more than a block may have on every device from 8.0 on");
};

/// What a thread holds, of each 16 queries of its warp: [..][0] of row g and [..][1] of g + 8.
template <int kWide, class Sharing>
struct TiledState {
  FragmentA query[Sharing::kRowTiles][kWide / 16];
  FragmentC score[Sharing::kRowTiles][2 * Sharing::kGroups];
  FragmentC out[Sharing::kRowTiles][kWide / 8];
  float largest[Sharing::kRowTiles][2];
  float sum[Sharing::kRowTiles][2];
};

}  // namespace deformer::cuda
