#pragma once
/// Attention of bf16 and f16 without relative terms. Keys and values pass by in tiles that are
/// copied to shared memory while the tile before is worked on, and each warp keeps a running
/// softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). Queries
/// stay in registers as fragments, a warp having as many 16s of them as fit (Dao,
/// "FlashAttention-2", 2023): each fragment of keys and values that is read serves all of them.
///
/// Which thread has what: tiled_shape.hpp. How tiles come: tiled_memory.cuh. How results leave:
/// tiled_results.cuh.

#include <cmath>

#include "backends/cuda/kernels/tiled_results.cuh"

namespace deformer::cuda {

template <class T, int kWide, class Sharing, class Block>
class TiledAttention {
  using Shape = TiledShape<kWide, Sharing>;
  using State = TiledState<kWide, Sharing>;
  static constexpr int kPitch = Shape::kPitch;
  static constexpr int kKeys = Sharing::kKeys;
  static constexpr int kKeyWarps = Sharing::kKeyWarps;
  static constexpr int kRowTiles = Sharing::kRowTiles;
  static constexpr int kGroups = Sharing::kGroups;
  static constexpr int kSteps = kWide / 16;
  static constexpr int kOutTiles = kWide / 8;

 public:
  DEFORMER_PORTABLE TiledAttention(Block& block, const AttentionArgs& args, const QueryBlock& place,
                                   int head, unsigned char* shared)
      : block_(block), rows_{args, place, head}, memory_(block, rows_, shared) {}

  DEFORMER_PORTABLE void run() {
    const int tiles = (rows_.place.tokens + kKeys - 1) / kKeys;
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
      if (tile + 1 == tiles) {
        break;
      }
      const int next = tile + Shape::kStages;
      if (memory_.has_tile(next)) {
        block_.each([](int) {});  // a slow warp may still read this tile, over which that comes
      }
      memory_.copy_tile(next);
    }
    finish();
  }

 private:
  DEFORMER_PORTABLE bool has_work(int thread, int first_key) const {
    return rows_.place.first_query + 16 * kRowTiles * Sharing::row_warp(thread) <
               rows_.place.tokens &&
           first_key + Sharing::key_of(thread, 0) < rows_.place.tokens;
  }

  /// Whether these are the last keys, some of a tile being none.
  DEFORMER_PORTABLE bool is_ragged(int first_key) const {
    return first_key + kKeys > rows_.place.tokens;
  }

  /// body() for a group of keys of a tile, which may be left out where it holds no key.
  template <class Body>
  DEFORMER_PORTABLE void with_group(int first_key, int group, const Body& body) {
    if constexpr (Sharing::kLeavesOut) {
      block_.when(
          [&](int thread) {
            return first_key + Sharing::key_of(thread, group) < rows_.place.tokens;
          },
          body);
    } else {
      body();
    }
  }

  /// As many groups of copies as there are stages: the queries are of the first one.
  DEFORMER_PORTABLE void begin() {
    memory_.copy_queries();
    DEFORMER_UNROLL
    for (int tile = 0; tile < Shape::kStages; ++tile) {
      memory_.copy_tile(tile);
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
              const int row = 16 * (kRowTiles * Sharing::row_warp(thread) + row_tile) + thread % 16;
              return memory_.queries() + row * kPitch + 16 * step + thread % 32 / 16 * 8;
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
            const int row = Sharing::key_of(thread, group) + thread % 32 / 16 * 8 + thread % 8;
            return memory_.keys(tile) + row * kPitch + 16 * step + thread / 8 % 2 * 8;
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
        const int key =
            Sharing::key_of(thread, i / 8) + i / 4 % 2 * 8 + Sharing::column_of(thread) + i % 2;
        if (first_key + key >= rows_.place.tokens) {
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
            const int row = Sharing::key_of(thread, group) + thread % 16;
            return memory_.values(tile) + row * kPitch + 8 * out + thread % 32 / 16 * 8;
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
    // Results go to where the queries were, which other threads of a warp have read, or to where a
    // slow warp may still read tiles.
    block_.each([](int) {});
    const TiledResults<T, kWide, Sharing, Block> results(memory_, rows_);
    block_.each([&](int thread) { results.stage(thread, state_[thread]); });
    memory_.with_pack([&](auto pack) {
      block_.each_alone([&](int thread) { results.template store<pack.value>(thread); });
    });
  }

  Block& block_;
  const HeadRows<T> rows_;
  TiledMemory<T, kWide, Sharing, Block> memory_;
  typename Block::template PerThread<State> state_;
};

}  // namespace deformer::cuda
