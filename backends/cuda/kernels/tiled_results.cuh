#pragma once
/// Attention by tiles: what was summed, through shared memory to where it belongs. Where warps
/// share the keys, their sums meet here.

#include <cstdint>

#include "backends/cuda/kernels/tiled_memory.cuh"

namespace deformer::cuda {

/// A thread stages what it has; when all have, each stores a part of the block's rows.
template <class T, int kWide, class Sharing, class Block>
class TiledResults {
  using Memory = TiledMemory<T, kWide, Sharing, Block>;
  using Shape = TiledShape<kWide, Sharing>;
  using State = TiledState<kWide, Sharing>;
  static constexpr int kPitch = Shape::kPitch;
  static constexpr int kKeyWarps = Sharing::kKeyWarps;
  static constexpr int kQueries = Sharing::kQueries;
  static constexpr int kRowTiles = Sharing::kRowTiles;
  static constexpr int kOutTiles = kWide / 8;

 public:
  DEFORMER_PORTABLE TiledResults(const Memory& memory, const HeadRows<T>& rows)
      : memory_(memory), rows_(rows) {}

  DEFORMER_PORTABLE void stage(int thread, const State& state) const {
    if constexpr (kKeyWarps == 1) {
      stage_results(thread, state);
    } else {
      stage_parts(thread, state);
    }
  }

  template <int kPack>
  DEFORMER_PORTABLE void store(int thread) const {
    constexpr int kPacks = kWide / kPack;
    T* context = rows_.result(rows_.place.first_query);
    DEFORMER_UNROLL
    for (int first = 0; first < kQueries * kPacks; first += Sharing::kThreads) {
      const int row = (first + thread) / kPacks;
      const int at = (first + thread) % kPacks * kPack;
      if (row < kQueries && rows_.place.first_query + row < rows_.place.tokens &&
          at < rows_.args.d_head) {
        auto* to = reinterpret_cast<Pack<T, kPack>*>(context + row * rows_.width() + at);
        if constexpr (kKeyWarps == 1) {
          *to = *reinterpret_cast<const Pack<T, kPack>*>(memory_.queries() + row * kPitch + at);
        } else {
          *to = sum_of_parts<kPack>(row, at);
        }
      }
    }
  }

 private:
  /// f(row of the block, row tile, half) for the thread's rows.
  template <class F>
  static DEFORMER_PORTABLE void each_row(int thread, const F& f) {
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        f(Sharing::row_of(thread, row_tile) + 8 * half, row_tile, half);
      }
    }
  }

  /// Results to where the queries were: a warp's own ones, which it has read.
  DEFORMER_PORTABLE void stage_results(int thread, const State& state) const {
    each_row(thread, [&](int row, int row_tile, int half) {
      // Nothing was summed where a warp had no query: what it writes here is never stored.
      const float once = 1.0F / state.sum[row_tile][half];
      auto* to = reinterpret_cast<std::uint32_t*>(memory_.queries() + row * kPitch +
                                                  Sharing::column_of(thread));
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        const float* out = state.out[row_tile][tile].at + 2 * half;
        to[4 * tile] = rounded_pair(T{}, out[0] * once, out[1] * once);
      }
    });
  }

  /// A warp's sums to where tiles were, and what they are relative to where the queries were. All
  /// warps have read both: a barrier was before this, and all copies were awaited.
  DEFORMER_PORTABLE void stage_parts(int thread, const State& state) const {
    each_row(thread, [&](int row, int row_tile, int half) {
      const int at = Sharing::key_warp(thread) * kQueries + row;
      auto* to = reinterpret_cast<Pack<float, 2>*>(memory_.parts() + at * Shape::kPartPitch +
                                                   Sharing::column_of(thread));
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        const float* out = state.out[row_tile][tile].at + 2 * half;
        to[4 * tile] = {{out[0], out[1]}};
      }
      if (thread % 4 == 0) {
        memory_.totals()[2 * at] = state.largest[row_tile][half];
        memory_.totals()[2 * at + 1] = state.sum[row_tile][half];
      }
    });
  }

  /// Of all the warps that had these queries. The first one had a key; one that had none has summed
  /// zeros relative to -infinity.
  template <int kPack>
  DEFORMER_PORTABLE Pack<T, kPack> sum_of_parts(int row, int at) const {
    float largest = memory_.totals()[2 * row];
    DEFORMER_UNROLL
    for (int warp = 1; warp < kKeyWarps; ++warp) {
      largest = fmaxf(largest, memory_.totals()[2 * (warp * kQueries + row)]);
    }
    float total = 0.0F;
    float sum[kPack] = {};
    DEFORMER_UNROLL
    for (int warp = 0; warp < kKeyWarps; ++warp) {
      const int place = warp * kQueries + row;
      const float scale = quick_exp2((memory_.totals()[2 * place] - largest) * kLog2E);
      total += scale * memory_.totals()[2 * place + 1];
      const float* part = memory_.parts() + place * Shape::kPartPitch + at;
      DEFORMER_UNROLL
      for (int i = 0; i < kPack; ++i) {
        sum[i] += scale * part[i];
      }
    }
    const float once = 1.0F / total;
    Pack<T, kPack> result;
    DEFORMER_UNROLL
    for (int i = 0; i < kPack; ++i) {
      result.at[i] = Rounded<T>::from(sum[i] * once);
    }
    return result;
  }

  const Memory memory_;
  const HeadRows<T> rows_;
};

}  // namespace deformer::cuda
