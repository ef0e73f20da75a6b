#pragma once
/// Attention of bf16 and f16 without relative terms. Keys and values pass by in tiles that are
/// copied to shared memory while the tile before is worked on, and each warp keeps a running
/// softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). Queries
/// stay in registers as fragments, a warp having as many 16s of them as fit (Dao,
/// "FlashAttention-2", 2023): each fragment of keys and values that is read serves all of them.
///
/// The four warps of a block are kRowWarps by kKeyWarps. Warps of one row have the same queries and
/// every kKeyWarps-th 16 keys of each tile; their sums meet in shared memory at the end.
///
/// A thread has two rows, g and g + 8, of each 16 queries, and of every 8 columns 2t and 2t + 1:
/// block.cuh says which g and t. Heads are padded with zeros to kWide.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/block.cuh"
#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {

/// kRowTiles: 16s of queries a warp. kGroups: 16s of keys that a warp has in a tile.
template <int kRowWarps_, int kRowTiles_, int kGroups_>
struct WarpSharing {
  static constexpr int kRowWarps = kRowWarps_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kGroups = kGroups_;
  static constexpr int kKeyWarps = kBlockThreads / 32 / kRowWarps;
  static constexpr int kQueries = 16 * kRowTiles * kRowWarps;
  static constexpr int kKeys = 16 * kGroups * kKeyWarps;
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

  static_assert(kTileAt + kStages * kStageBytes <= 99 * 1024,
                "more than a block may have on every device from 8.0 on");
  static constexpr int kPartPitch = kWide + 8;  ///< floats of a row of a warp's sums
  static_assert(Sharing::kKeyWarps == 1 ||
                Sharing::kKeyWarps * Sharing::kQueries * kPartPitch * 4 <= kStageBytes);
  static_assert(Sharing::kKeyWarps * Sharing::kQueries * 8 <= kTileAt);

  /// Shorter sequences do with one tile.
  static constexpr int bytes(std::int64_t longest) {
    return kTileAt + (longest > Sharing::kKeys ? kStages : 1) * kStageBytes;
  }
};

template <class T, int kWide, class Sharing, class Block>
class TiledAttention {
  using Shape = TiledShape<kWide, Sharing>;
  static constexpr int kPitch = Shape::kPitch;
  static constexpr int kKeys = Sharing::kKeys;
  static constexpr int kKeyWarps = Sharing::kKeyWarps;
  static constexpr int kQueries = Sharing::kQueries;
  static constexpr int kRowTiles = Sharing::kRowTiles;
  static constexpr int kGroups = Sharing::kGroups;
  static constexpr int kSteps = kWide / 16;
  static constexpr int kOutTiles = kWide / 8;
  static constexpr float kLog2E = 1.44269504F;

 public:
  DEFORMER_PORTABLE TiledAttention(Block& block, const AttentionArgs& args, const QueryBlock& place,
                                   int head, unsigned char* shared)
      : block_(block), args_(args), place_(place), head_(head), shared_(shared) {}

  DEFORMER_PORTABLE void run() {
    const int tiles = (place_.tokens + kKeys - 1) / kKeys;
    begin();
    for (int tile = 0;; ++tile) {
      // Groups so far: kStages and one for each tile before this one. All but the newest
      // kStages - 1 have arrived: this tile's among them.
      block_.template await<Shape::kStages - 1>();
      if (tile == 0) {
        take_queries();
      }
      block_.when([&](int thread) { return has_work(thread, kKeys * tile); },
                  [&] {
                    score(tile);
                    soften(kKeys * tile);
                    gather(tile);
                  });
      // Until here a slow warp may read the tile, over which the next copies and finish() write.
      block_.each([](int) {});
      if (tile + 1 == tiles) {
        break;
      }
      copy_tile(tile + Shape::kStages);
    }
    finish();
  }

 private:
  /// What a thread holds, of each 16 queries of its warp: [..][0] of row g and [..][1] of g + 8.
  struct State {
    FragmentA query[kRowTiles][kSteps];
    FragmentC score[kRowTiles][2 * kGroups];
    FragmentC out[kRowTiles][kOutTiles];
    float largest[kRowTiles][2];
    float sum[kRowTiles][2];
  };

  static DEFORMER_PORTABLE int row_warp(int thread) { return thread / 32 % Sharing::kRowWarps; }
  static DEFORMER_PORTABLE int key_warp(int thread) { return thread / 32 / Sharing::kRowWarps; }
  /// The block's row of the thread's row g.
  static DEFORMER_PORTABLE int row_of(int thread, int row_tile) {
    return 16 * (kRowTiles * row_warp(thread) + row_tile) + thread % 32 / 4;
  }
  static DEFORMER_PORTABLE int column_of(int thread) { return thread % 4 * 2; }
  /// First key, in a tile, of a group of the thread's warp.
  static DEFORMER_PORTABLE int key_of(int thread, int group) {
    return 16 * (kKeyWarps * group + key_warp(thread));
  }

  DEFORMER_PORTABLE bool has_work(int thread, int first_key) const {
    return place_.first_query + 16 * kRowTiles * row_warp(thread) < place_.tokens &&
           first_key + key_of(thread, 0) < place_.tokens;
  }

  /// Whether these are the last keys, some of a tile being none.
  DEFORMER_PORTABLE bool is_ragged(int first_key) const {
    return first_key + kKeys > place_.tokens;
  }

  /// body() for a group of keys of a tile, left out where warps share tiles and it holds no key:
  /// such rows are not even copied.
  template <class Body>
  DEFORMER_PORTABLE void with_group(int first_key, int group, const Body& body) {
    if constexpr (kKeyWarps > 1) {
      block_.when([&](int thread) { return first_key + key_of(thread, group) < place_.tokens; },
                  body);
    } else {
      body();
    }
  }

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

  /// Start of the head in row `row` of the sequence; what: 0 queries, 1 keys, 2 values.
  DEFORMER_PORTABLE const T* rows(int what, int row) const {
    const std::int64_t d = args_.heads * args_.d_head;
    return static_cast<const T*>(args_.qkv) + (std::int64_t{place_.first_row} + row) * 3 * d +
           what * d + head_ * args_.d_head;
  }

  /// f(integral constant): how many elements lie aligned at once, 8 or 4.
  template <class F>
  DEFORMER_PORTABLE void with_pack(const F& f) const {
    if (args_.d_head % 8 == 0) {
      f(std::integral_constant<int, 8>{});
    } else {
      f(std::integral_constant<int, 4>{});
    }
  }

  /// Begins to copy `count` rows of a head from `source` on to the first of kRows rows of a tile,
  /// and zeros to those after them below `limit`.
  template <int kPack, int kRows>
  DEFORMER_PORTABLE void copy_rows(int thread, const T* source, int count, int limit, T* tile) {
    constexpr int kPacks = kWide / kPack;
    constexpr int kRowsAtOnce = kBlockThreads / kPacks;
    static_assert(kRows % kRowsAtOnce == 0);
    const std::int64_t stride = 3 * args_.heads * args_.d_head;
    const int first = thread / kPacks;
    const int at = thread % kPacks * kPack;
    const T* from = source + first * stride + at;
    T* to = tile + first * kPitch + at;
    DEFORMER_UNROLL
    for (int row = 0; row < kRows; row += kRowsAtOnce) {
      if (first + row < limit) {
        const bool there = first + row < count && at < args_.d_head;
        block_.template copy<kPack * 2>(to + row * kPitch, there ? from : source, there);
      }
      from += kRowsAtOnce * stride;
    }
  }

  /// Begins to copy a tile of keys and values, if there is such a one; a group of its own.
  DEFORMER_PORTABLE void copy_tile(int tile) {
    const int first_key = kKeys * tile;
    if (first_key < place_.tokens) {
      const int count = place_.tokens - first_key;
      const int limit = kKeyWarps > 1 ? (count + 15) / 16 * 16 : kKeys;
      with_pack([&](auto pack) {
        block_.each_alone([&](int thread) {
          copy_rows<pack.value, kKeys>(thread, rows(1, first_key), count, limit, keys(tile));
          copy_rows<pack.value, kKeys>(thread, rows(2, first_key), count, limit, values(tile));
        });
      });
    }
    block_.commit();
  }

  /// As many groups of copies as there are stages: the queries are of the first one.
  DEFORMER_PORTABLE void begin() {
    with_pack([&](auto pack) {
      block_.each_alone([&](int thread) {
        copy_rows<pack.value, kQueries>(thread, rows(0, place_.first_query),
                                        place_.tokens - place_.first_query, kQueries, queries());
      });
    });
    DEFORMER_UNROLL
    for (int tile = 0; tile < Shape::kStages; ++tile) {
      copy_tile(tile);
    }
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
        DEFORMER_UNROLL
        for (int half = 0; half < 2; ++half) {
          state.largest[row_tile][half] = -INFINITY;
          state.sum[row_tile][half] = 0.0F;
        }
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          state.out[row_tile][tile] = {};
        }
      }
    });
  }

  DEFORMER_PORTABLE void take_queries() {
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int step = 0; step < kSteps; ++step) {
        block_.template load_matrices<false>(
            [&](int thread) {
              const int row = 16 * (kRowTiles * row_warp(thread) + row_tile) + thread % 16;
              return queries() + row * kPitch + 16 * step + thread % 32 / 16 * 8;
            },
            [&](int thread) -> FragmentA& { return state_[thread].query[row_tile][step]; });
      }
    }
  }

  DEFORMER_PORTABLE void score(int tile) {
    DEFORMER_UNROLL
    for (int group = 0; group < kGroups; ++group) {
      with_group(kKeys * tile, group, [&] { score_group(tile, group); });
    }
  }

  /// Queries times 16 keys.
  DEFORMER_PORTABLE void score_group(int tile, int group) {
    typename Block::template PerThread<FragmentA> key;  // columns of keys 0 to 7 and of 8 to 15
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
        state_[thread].score[row_tile][2 * group] = {};
        state_[thread].score[row_tile][2 * group + 1] = {};
      }
    });
    DEFORMER_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      block_.template load_matrices<false>(
          [&](int thread) {
            const int row = key_of(thread, group) + thread % 32 / 16 * 8 + thread % 8;
            return keys(tile) + row * kPitch + 16 * step + thread / 8 % 2 * 8;
          },
          [&](int thread) -> FragmentA& { return key[thread]; });
      DEFORMER_UNROLL
      for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
        multiply(
            key, [&](int thread) { return state_[thread].query[row_tile][step]; },
            [&](int thread) { return state_[thread].score[row_tile] + 2 * group; });
      }
    }
  }

  /// The two fragments at c(thread) += a(thread) times the two that were loaded at once.
  template <class Loaded, class A, class C>
  DEFORMER_PORTABLE void multiply(Loaded& loaded, const A& a, const C& c) {
    block_.template multiply<T>(
        a,
        [&](int thread) {
          return FragmentB{{loaded[thread].word[0], loaded[thread].word[1]}};
        },
        [&](int thread) -> FragmentC& { return c(thread)[0]; });
    block_.template multiply<T>(
        a,
        [&](int thread) {
          return FragmentB{{loaded[thread].word[2], loaded[thread].word[3]}};
        },
        [&](int thread) -> FragmentC& { return c(thread)[1]; });
  }

  /// Scores of what is no key become -infinity: whatever they were, they weigh nothing.
  DEFORMER_PORTABLE void mask(int thread, int first_key) {
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int i = 0; i < 8 * kGroups; ++i) {
        const int key = key_of(thread, i / 8) + i / 4 % 2 * 8 + column_of(thread) + i % 2;
        if (first_key + key >= place_.tokens) {
          state_[thread].score[row_tile][i / 4].at[i % 4] = -INFINITY;
        }
      }
    }
  }

  /// Scores to weights, by the largest score so far; what was summed before is scaled to it.
  DEFORMER_PORTABLE void soften(int first_key) {
    if (is_ragged(first_key)) {
      block_.each_alone([&](int thread) { mask(thread, first_key); });
    }
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        soften_row(row_tile, half);
      }
    }
  }

  DEFORMER_PORTABLE void soften_row(int row_tile, int half) {
    typename Block::template PerThread<float> largest;
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      largest[thread] = state.largest[row_tile][half];
      DEFORMER_UNROLL
      for (int tile = 0; tile < 2 * kGroups; ++tile) {
        const float* scores = state.score[row_tile][tile].at + 2 * half;
        largest[thread] = fmaxf(largest[thread], fmaxf(scores[0], scores[1]));
      }
    });
    block_.over_quad([&](int thread) -> float& { return largest[thread]; },
                     [](float a, float b) { return fmaxf(a, b); });
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      // A warp has work only where its first key is one, so that the largest is finite.
      const float base = largest[thread] * kLog2E;
      const float scale = quick_exp2(state.largest[row_tile][half] * kLog2E - base);
      float sum = state.sum[row_tile][half] * scale;
      DEFORMER_UNROLL
      for (int tile = 0; tile < 2 * kGroups; ++tile) {
        float* weights = state.score[row_tile][tile].at + 2 * half;
        weights[0] = quick_exp2(weights[0] * kLog2E - base);
        weights[1] = quick_exp2(weights[1] * kLog2E - base);
        sum += weights[0] + weights[1];
      }
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        float* out = state.out[row_tile][tile].at + 2 * half;
        out[0] *= scale;
        out[1] *= scale;
      }
      state.largest[row_tile][half] = largest[thread];
      state.sum[row_tile][half] = sum;
    });
  }

  /// Adds the weighted values.
  DEFORMER_PORTABLE void gather(int tile) {
    DEFORMER_UNROLL
    for (int group = 0; group < kGroups; ++group) {
      with_group(kKeys * tile, group, [&] { gather_group(tile, group); });
    }
  }

  DEFORMER_PORTABLE void gather_group(int tile, int group) {
    typename Block::template PerThread<FragmentA> weight[kRowTiles];
    typename Block::template PerThread<FragmentA> value;
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
        const FragmentC& near = state_[thread].score[row_tile][2 * group];
        const FragmentC& far = state_[thread].score[row_tile][2 * group + 1];
        weight[row_tile][thread] = {
            {rounded_pair(T{}, near.at[0], near.at[1]), rounded_pair(T{}, near.at[2], near.at[3]),
             rounded_pair(T{}, far.at[0], far.at[1]), rounded_pair(T{}, far.at[2], far.at[3])}};
      }
    });
    DEFORMER_UNROLL
    for (int out = 0; out < kOutTiles; out += 2) {
      block_.template load_matrices<true>(
          [&](int thread) {
            const int row = key_of(thread, group) + thread % 16;
            return values(tile) + row * kPitch + 8 * out + thread % 32 / 16 * 8;
          },
          [&](int thread) -> FragmentA& { return value[thread]; });
      DEFORMER_UNROLL
      for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
        multiply(
            value, [&](int thread) { return weight[row_tile][thread]; },
            [&](int thread) { return state_[thread].out[row_tile] + out; });
      }
    }
  }

  DEFORMER_PORTABLE void finish() {
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        block_.over_quad([&](int thread) -> float& { return state_[thread].sum[row_tile][half]; },
                         [](float a, float b) { return a + b; });
      }
    }
    if constexpr (kKeyWarps == 1) {
      block_.each([&](int thread) { stage_results(thread); });
    } else {
      block_.each([&](int thread) { stage_parts(thread); });
    }
    with_pack(
        [&](auto pack) { block_.each_alone([&](int thread) { store<pack.value>(thread); }); });
  }

  /// f(row of the block, row tile, half) for the thread's rows.
  template <class F>
  static DEFORMER_PORTABLE void each_row(int thread, const F& f) {
    DEFORMER_UNROLL
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        f(row_of(thread, row_tile) + 8 * half, row_tile, half);
      }
    }
  }

  /// Results to where the queries were, which nobody reads any more.
  DEFORMER_PORTABLE void stage_results(int thread) {
    const State& state = state_[thread];
    each_row(thread, [&](int row, int row_tile, int half) {
      // Nothing was summed where a warp had no query: what it writes here is never stored.
      const float once = 1.0F / state.sum[row_tile][half];
      auto* to = reinterpret_cast<std::uint32_t*>(queries() + row * kPitch + column_of(thread));
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        const float* out = state.out[row_tile][tile].at + 2 * half;
        to[4 * tile] = rounded_pair(T{}, out[0] * once, out[1] * once);
      }
    });
  }

  /// A warp's sums to where tiles were, and what they are relative to where the queries were. Both
  /// have been read: the last tile ends with a barrier, and all copies were awaited.
  DEFORMER_PORTABLE void stage_parts(int thread) {
    const State& state = state_[thread];
    each_row(thread, [&](int row, int row_tile, int half) {
      const int at = key_warp(thread) * kQueries + row;
      auto* to =
          reinterpret_cast<Pack<float, 2>*>(parts() + at * Shape::kPartPitch + column_of(thread));
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        const float* out = state.out[row_tile][tile].at + 2 * half;
        to[4 * tile] = {{out[0], out[1]}};
      }
      if (thread % 4 == 0) {
        totals()[2 * at] = state.largest[row_tile][half];
        totals()[2 * at + 1] = state.sum[row_tile][half];
      }
    });
  }

  template <int kPack>
  DEFORMER_PORTABLE void store(int thread) const {
    constexpr int kPacks = kWide / kPack;
    const std::int64_t d = args_.heads * args_.d_head;
    T* context = static_cast<T*>(args_.context) +
                 (std::int64_t{place_.first_row} + place_.first_query) * d + head_ * args_.d_head;
    DEFORMER_UNROLL
    for (int step = 0; step < kQueries * kPacks / kBlockThreads; ++step) {
      const int row = (step * kBlockThreads + thread) / kPacks;
      const int at = (step * kBlockThreads + thread) % kPacks * kPack;
      if (place_.first_query + row < place_.tokens && at < args_.d_head) {
        auto* to = reinterpret_cast<Pack<T, kPack>*>(context + row * d + at);
        if constexpr (kKeyWarps == 1) {
          *to = *reinterpret_cast<const Pack<T, kPack>*>(queries() + row * kPitch + at);
        } else {
          *to = sum_of_parts<kPack>(row, at);
        }
      }
    }
  }

  /// Of all the warps that had these queries. The first one had a key; one that had none has summed
  /// zeros relative to -infinity.
  template <int kPack>
  DEFORMER_PORTABLE Pack<T, kPack> sum_of_parts(int row, int at) const {
    float largest = totals()[2 * row];
    DEFORMER_UNROLL
    for (int warp = 1; warp < kKeyWarps; ++warp) {
      largest = fmaxf(largest, totals()[2 * (warp * kQueries + row)]);
    }
    float total = 0.0F;
    float sum[kPack] = {};
    DEFORMER_UNROLL
    for (int warp = 0; warp < kKeyWarps; ++warp) {
      const int place = warp * kQueries + row;
      const float scale = quick_exp2((totals()[2 * place] - largest) * kLog2E);
      total += scale * totals()[2 * place + 1];
      const float* part = parts() + place * Shape::kPartPitch + at;
      DEFORMER_UNROLL
      for (int i = 0; i < kPack; ++i) {
        sum[i] += scale * part[i];
      }
    }
    Pack<T, kPack> result;
    DEFORMER_UNROLL
    for (int i = 0; i < kPack; ++i) {
      result.at[i] = Rounded<T>::from(sum[i] / total);
    }
    return result;
  }

  Block& block_;
  const AttentionArgs& args_;
  const QueryBlock place_;
  const int head_;
  unsigned char* shared_;
  typename Block::template PerThread<State> state_;
};

}  // namespace deformer::cuda
