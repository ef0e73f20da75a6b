#pragma once
/// Attention of f32 or with relative terms (tiled_attention.cuh has the rest), of 64 queries of one
/// head of one sequence: keys pass by 64 at a time, the softmax follows them (Milakov and
/// Gimelshein, "Online normalizer calculation for softmax", 2018), so that no scores ever leave the
/// multiprocessor. bf16 and f16 multiply on tensor cores; f32 in f32.
///
/// A warp has 16 queries. A thread has two of their rows, g and g + 8, and of every 8 columns 2t
/// and 2t + 1: block.cuh says which g and t. Heads are padded with zeros to kWide.
///
/// XLNet's position scores are needed for a band: query i and key j are i - j apart. Those of 16
/// queries and 64 keys have 79 distances; their 80 scores a query are made as one product and read
/// from shared memory one place farther for each query, which is the shift.

#include <cmath>
#include <cstdint>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/block.cuh"
#include "backends/cuda/kernels/head_rows.cuh"
#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {

inline constexpr int kQueryBlock = 64;
inline constexpr int kKeyBlock = 64;
inline constexpr int kBlockThreads = 128;

template <class T, int kWide, bool kRelative>
struct AttentionShape {
  static constexpr bool kTensorCores = sizeof(T) == 2;
  /// Elements from one row in shared memory to the next: 16 bytes farther, so that the 8 rows a
  /// warp reads at once lie in different banks.
  static constexpr int kPitch = kWide + 16 / static_cast<int>(sizeof(T));
  static constexpr int kBand = 80;  ///< distances of a warp's queries to 64 keys
  static constexpr int kBandPitch = kBand + 1;
  static constexpr int kDistances = 128;  ///< of the block's, 127 and one unused
  static constexpr int kWeightPitch = kKeyBlock + 4;

  // Parts of shared memory, in bytes.
  static constexpr int kTile = kQueryBlock * kPitch * static_cast<int>(sizeof(T));
  static constexpr int kQueries = 0;
  static constexpr int kKeys = kTile;
  static constexpr int kValues = 2 * kTile;
  static constexpr int kWeights = 3 * kTile;  ///< f32 only: the softmax's, [64, kWeightPitch]
  static constexpr int kPositions =
      kWeights + (kTensorCores ? 0 : kQueryBlock * kWeightPitch * static_cast<int>(sizeof(float)));
  static constexpr int kBias =
      kPositions + (kRelative ? kDistances * kPitch * static_cast<int>(sizeof(T)) : 0);
  static constexpr int kBands =
      kBias + (kRelative ? kDistances * static_cast<int>(sizeof(float)) : 0);
  static constexpr int kBytes =
      kBands + (kRelative ? kQueryBlock * kBandPitch * static_cast<int>(sizeof(float)) : 0);
};

template <class T, int kWide, bool kRelative, class Block>
class AttentionBlock {
  using Shape = AttentionShape<T, kWide, kRelative>;
  static constexpr int kPitch = Shape::kPitch;
  static constexpr int kKeyTiles = kKeyBlock / 8;
  static constexpr int kOutTiles = kWide / 8;
  static constexpr int kBandTiles = Shape::kBand / 8;

 public:
  DEFORMER_PORTABLE AttentionBlock(Block& block, const AttentionArgs& args, const QueryBlock& place,
                                   int head, unsigned char* shared)
      : block_(block), rows_{args, place, head}, shared_(shared) {}

  DEFORMER_PORTABLE void run() {
    begin();
    for (int first_key = 0; first_key < rows_.place.tokens; first_key += kKeyBlock) {
      load_keys(first_key);
      score();
      if constexpr (kRelative) {
        score_band();
        add_relative(first_key);
      }
      soften(first_key);
      gather();
    }
    finish();
  }

 private:
  /// What a thread holds: of its rows g (0) and g + 8 (1).
  struct State {
    FragmentA query[kWide / 16];  ///< tensor cores
    FragmentC score[kKeyTiles];
    FragmentC out[kOutTiles];
    float largest[2];
    float sum[2];
    float scale[2];  ///< of what was gathered before
    float other[2];  ///< added where the key is in the other segment
  };

  static DEFORMER_PORTABLE int row_of(int thread, int half) {
    return thread / 32 * 16 + thread % 32 / 4 + 8 * half;
  }
  static DEFORMER_PORTABLE int column_of(int thread) { return thread % 4 * 2; }

  DEFORMER_PORTABLE T* part(int offset) const { return reinterpret_cast<T*>(shared_ + offset); }
  DEFORMER_PORTABLE float* floats(int offset) const {
    return reinterpret_cast<float*>(shared_ + offset);
  }

  /// `count` rows of a head from `source` on, `stride` elements apart, to 64 rows of a tile.
  DEFORMER_PORTABLE void load_tile(int thread, const T* source, std::int64_t stride, int count,
                                   T* tile) const {
    constexpr int kPacks = kWide / 4;
    for (int i = thread; i < kQueryBlock * kPacks; i += kBlockThreads) {
      const int row = i / kPacks;
      const int at = i % kPacks * 4;
      Pack<T> pack{};
      if (row < count && at < rows_.args.d_head) {
        pack = *reinterpret_cast<const Pack<T>*>(source + row * stride + at);
      }
      *reinterpret_cast<Pack<T>*>(tile + row * kPitch + at) = pack;
    }
  }

  static DEFORMER_PORTABLE std::uint32_t pair_at(const T* from) {
    return *reinterpret_cast<const std::uint32_t*>(from);
  }
  static DEFORMER_PORTABLE std::uint32_t pair_of(T first, T second) {
    return static_cast<std::uint32_t>(first.bits) | static_cast<std::uint32_t>(second.bits) << 16;
  }

  DEFORMER_PORTABLE void begin() {
    block_.each([&](int thread) {
      load_tile(thread, rows_.source(0, rows_.place.first_query), rows_.stride(),
                rows_.place.tokens - rows_.place.first_query, part(Shape::kQueries));
    });
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        state.largest[half] = -INFINITY;
        state.sum[half] = 0.0F;
      }
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        state.out[tile] = {};
      }
      if constexpr (kRelative) {
        // Not in a loop: nvcc unrolls one around another too late to keep the state in registers.
        state.other[0] = segment_term(thread, 0);
        state.other[1] = segment_term(thread, 1);
      }
      if constexpr (Shape::kTensorCores) {
        const T* queries = part(Shape::kQueries);
        const T* upper = queries + row_of(thread, 0) * kPitch + column_of(thread);
        const T* lower = queries + row_of(thread, 1) * kPitch + column_of(thread);
        DEFORMER_UNROLL
        for (int step = 0; step < kWide / 16; ++step) {
          state.query[step] = {{pair_at(upper + 16 * step), pair_at(lower + 16 * step),
                                pair_at(upper + 16 * step + 8), pair_at(lower + 16 * step + 8)}};
        }
      }
    });
  }

  /// Of the thread's row g or g + 8, with a key of the other segment.
  DEFORMER_PORTABLE float segment_term(int thread, int half) const {
    const T* query = part(Shape::kQueries) + row_of(thread, half) * kPitch;
    const float* segment = rows_.args.relative.segments + rows_.head * rows_.args.d_head;
    float sum = rows_.args.relative.segment_bias[rows_.head];
    for (int i = 0; i < rows_.args.d_head; ++i) {
      sum += to_float(query[i]) * segment[i];
    }
    return sum;
  }

  DEFORMER_PORTABLE void load_keys(int first_key) {
    block_.each([&](int thread) {
      const int count = rows_.place.tokens - first_key;
      load_tile(thread, rows_.source(1, first_key), rows_.stride(), count, part(Shape::kKeys));
      load_tile(thread, rows_.source(2, first_key), rows_.stride(), count, part(Shape::kValues));
      if constexpr (kRelative) {
        load_positions(thread, first_key);
      }
    });
  }

  /// Row b of the position keys is that of distance first_query + 63 - first_key - b.
  DEFORMER_PORTABLE void load_positions(int thread, int first_key) {
    constexpr int kPacks = kWide / 4;
    const std::int64_t rows = 2 * rows_.args.relative.reach + 1;
    const std::int64_t first =
        rows_.args.relative.reach - (rows_.place.first_query + kQueryBlock - 1 - first_key);
    const T* keys =
        static_cast<const T*>(rows_.args.relative.keys) + rows_.head * rows * rows_.args.d_head;
    T* tile = part(Shape::kPositions);
    for (int i = thread; i < Shape::kDistances * kPacks; i += kBlockThreads) {
      const int row = i / kPacks;
      const int at = i % kPacks * 4;
      Pack<T> pack{};
      if (first + row >= 0 && first + row < rows && at < rows_.args.d_head) {
        pack = *reinterpret_cast<const Pack<T>*>(keys + (first + row) * rows_.args.d_head + at);
      }
      *reinterpret_cast<Pack<T>*>(tile + row * kPitch + at) = pack;
    }
    const bool known = first + thread >= 0 && first + thread < rows;
    floats(Shape::kBias)[thread] =
        known ? rows_.args.relative.key_bias[rows_.head * rows + first + thread] : 0.0F;
  }

  /// c(thread) += its rows of queries times the eight rows of keys from keys(thread) on, which are
  /// the same for all threads of a warp.
  template <class Keys, class C>
  DEFORMER_PORTABLE void multiply_queries(const Keys& keys, const C& c) {
    if constexpr (Shape::kTensorCores) {
      DEFORMER_UNROLL
      for (int step = 0; step < kWide / 16; ++step) {
        block_.template multiply<T>([&](int thread) { return state_[thread].query[step]; },
                                    [&](int thread) {
                                      const T* key = keys(thread) + thread % 32 / 4 * kPitch +
                                                     16 * step + column_of(thread);
                                      return FragmentB{{pair_at(key), pair_at(key + 8)}};
                                    },
                                    c);
      }
    } else {
      block_.each_alone(
          [&](int thread) { multiply_queries_in_f32(thread, keys(thread), c(thread)); });
    }
  }

  DEFORMER_PORTABLE void multiply_queries_in_f32(int thread, const T* keys, FragmentC& sum) const {
    const auto* queries = reinterpret_cast<const float*>(part(Shape::kQueries));
    const auto* upper = queries + row_of(thread, 0) * kPitch;
    const auto* lower = queries + row_of(thread, 1) * kPitch;
    const auto* left = reinterpret_cast<const float*>(keys) + column_of(thread) * kPitch;
    for (int at = 0; at < kWide; at += 4) {
      const auto a = *reinterpret_cast<const Pack<float>*>(upper + at);
      const auto b = *reinterpret_cast<const Pack<float>*>(lower + at);
      const auto x = *reinterpret_cast<const Pack<float>*>(left + at);
      const auto y = *reinterpret_cast<const Pack<float>*>(left + kPitch + at);
      DEFORMER_UNROLL
      for (int i = 0; i < 4; ++i) {
        sum.at[0] += a.at[i] * x.at[i];
        sum.at[1] += a.at[i] * y.at[i];
        sum.at[2] += b.at[i] * x.at[i];
        sum.at[3] += b.at[i] * y.at[i];
      }
    }
  }

  DEFORMER_PORTABLE void score() {
    DEFORMER_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      block_.each_alone([&](int thread) { state_[thread].score[tile] = {}; });
      multiply_queries([&](int) { return part(Shape::kKeys) + 8 * tile * kPitch; },
                       [&](int thread) -> FragmentC& { return state_[thread].score[tile]; });
    }
  }

  /// The warp's first distance, of those in shared memory: its last query's to the first key.
  static DEFORMER_PORTABLE int band_of(int thread) { return kQueryBlock - 16 * (thread / 32 + 1); }

  DEFORMER_PORTABLE void score_band() {
    typename Block::template PerThread<FragmentC> sums;
    float* bands = floats(Shape::kBands);
    const float* bias = floats(Shape::kBias);
    DEFORMER_UNROLL
    for (int tile = 0; tile < kBandTiles; ++tile) {
      block_.each_alone([&](int thread) { sums[thread] = {}; });
      multiply_queries(
          [&](int thread) {
            return part(Shape::kPositions) + (band_of(thread) + 8 * tile) * kPitch;
          },
          [&](int thread) -> FragmentC& { return sums[thread]; });
      block_.each_alone([&](int thread) {
        const int column = 8 * tile + column_of(thread);
        const int distance = band_of(thread) + column;
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          bands[row_of(thread, i / 2) * Shape::kBandPitch + column + i % 2] =
              sums[thread].at[i] + bias[distance + i % 2];
        }
      });
    }
    block_.each([](int) {});
  }

  DEFORMER_PORTABLE void add_relative(int first_key) {
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      const float* bands = floats(Shape::kBands);
      DEFORMER_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int row = row_of(thread, i / 2);
          const int key = 8 * tile + column_of(thread) + i % 2;
          const bool query_first = rows_.place.first_query + row < rows_.place.first_text;
          const bool key_first = first_key + key < rows_.place.first_text;
          state.score[tile].at[i] += bands[row * Shape::kBandPitch + 15 - row % 16 + key] +
                                     (query_first == key_first ? 0.0F : state.other[i / 2]);
        }
      }
    });
  }

  /// Scores to weights, by the largest score so far; what was summed before is scaled to it.
  DEFORMER_PORTABLE void soften(int first_key) {
    typename Block::template PerThread<float[2]> largest;
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      largest[thread][0] = state.largest[0];
      largest[thread][1] = state.largest[1];
      DEFORMER_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          float& score = state.score[tile].at[i];
          if (first_key + 8 * tile + column_of(thread) + i % 2 >= rows_.place.tokens) {
            score = -INFINITY;
          }
          largest[thread][i / 2] = fmaxf(largest[thread][i / 2], score);
        }
      }
    });
    DEFORMER_UNROLL
    for (int half = 0; half < 2; ++half) {
      block_.over_quad([&](int thread) -> float& { return largest[thread][half]; },
                       [](float a, float b) { return fmaxf(a, b); });
    }
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        // The first key of all is real, so that the largest is finite from the first tile on.
        state.scale[half] = exp2f((state.largest[half] - largest[thread][half]) * kLog2E);
        state.largest[half] = largest[thread][half];
        state.sum[half] *= state.scale[half];
      }
      DEFORMER_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          float& weight = state.score[tile].at[i];
          weight = exp2f((weight - state.largest[i / 2]) * kLog2E);
          state.sum[i / 2] += weight;
        }
      }
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          state.out[tile].at[i] *= state.scale[i / 2];
        }
      }
    });
  }

  /// Adds the weighted values. Ends with a barrier: the next keys overwrite these.
  DEFORMER_PORTABLE void gather() {
    if constexpr (Shape::kTensorCores) {
      gather_on_tensor_cores();
      block_.each([](int) {});
    } else {
      gather_in_f32();
    }
  }

  DEFORMER_PORTABLE void gather_on_tensor_cores() {
    const T* values = part(Shape::kValues);
    DEFORMER_UNROLL
    for (int step = 0; step < kKeyBlock / 16; ++step) {
      const auto weights = [&](int thread) {
        const FragmentC& near = state_[thread].score[2 * step];
        const FragmentC& far = state_[thread].score[2 * step + 1];
        return FragmentA{
            {rounded_pair(T{}, near.at[0], near.at[1]), rounded_pair(T{}, near.at[2], near.at[3]),
             rounded_pair(T{}, far.at[0], far.at[1]), rounded_pair(T{}, far.at[2], far.at[3])}};
      };
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        block_.template multiply<T>(
            weights,
            [&](int thread) {
              const T* value =
                  values + (16 * step + column_of(thread)) * kPitch + 8 * tile + thread % 32 / 4;
              return FragmentB{{pair_of(value[0], value[kPitch]),
                                pair_of(value[8 * kPitch], value[9 * kPitch])}};
            },
            [&](int thread) -> FragmentC& { return state_[thread].out[tile]; });
      }
    }
  }
  DEFORMER_PORTABLE void gather_in_f32() {
    float* weights = floats(Shape::kWeights);
    block_.each([&](int thread) {
      DEFORMER_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          weights[row_of(thread, i / 2) * Shape::kWeightPitch + 8 * tile + column_of(thread) +
                  i % 2] = state_[thread].score[tile].at[i];
        }
      }
    });
    block_.each([&](int thread) {
      const float* upper = weights + row_of(thread, 0) * Shape::kWeightPitch;
      const float* lower = weights + row_of(thread, 1) * Shape::kWeightPitch;
      const auto* values = reinterpret_cast<const float*>(part(Shape::kValues)) + column_of(thread);
      for (int key = 0; key < kKeyBlock; ++key) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          const float x = values[key * kPitch + 8 * tile];
          const float y = values[key * kPitch + 8 * tile + 1];
          FragmentC& out = state_[thread].out[tile];
          out.at[0] += upper[key] * x;
          out.at[1] += upper[key] * y;
          out.at[2] += lower[key] * x;
          out.at[3] += lower[key] * y;
        }
      }
    });
  }

  DEFORMER_PORTABLE void finish() {
    DEFORMER_UNROLL
    for (int half = 0; half < 2; ++half) {
      block_.over_quad([&](int thread) -> float& { return state_[thread].sum[half]; },
                       [](float a, float b) { return a + b; });
    }
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int query = rows_.place.first_query + row_of(thread, half);
        if (query >= rows_.place.tokens) {
          continue;
        }
        T* out = rows_.result(query);
        const float once = 1.0F / state.sum[half];
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          const int column = 8 * tile + column_of(thread);
          if (column < rows_.args.d_head) {
            out[column] = Rounded<T>::from(state.out[tile].at[2 * half] * once);
            out[column + 1] = Rounded<T>::from(state.out[tile].at[2 * half + 1] * once);
          }
        }
      }
    });
  }

  Block& block_;
  const HeadRows<T> rows_;
  unsigned char* shared_;
  typename Block::template PerThread<State> state_;
};

}  // namespace deformer::cuda
