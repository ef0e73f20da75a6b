#pragma once
/// Products of few rows (a question's 27): what takes their time is bringing the weights, each of
/// which is used once. A block of eight warps has 16 outputs; each warp takes every eighth piece of
/// 32 of the inner dimension, and the warps' sums are added through shared memory, always in the
/// same order.
///
/// A long inner dimension is split over the blocks of a cluster, which have the same outputs: one
/// multiprocessor alone is slow to read so much of the rows. Each block gives its sums to those
/// that finish them, a share of the outputs each, and those are added in the blocks' order.
///
/// Weights do not depend on the kernel before, so they are asked for before it has ended: a kernel
/// that starts early (kernel_launch.hpp) finds them in shared memory when its rows are ready. Every
/// thread copies exactly the 16 bytes that it will multiply, so nobody waits for anybody.
///
/// A thread's 16 bytes are eight neighbours of the inner dimension, where the matrix units want
/// pairs that lie eight apart (block.cuh). A sum does not care for its order: rows and weights are
/// given to the units in the same other order, thread t of a quad bringing 8t to 8t + 7, four of
/// them to each of two steps.

#include <cstdint>
#include <optional>
#include <type_traits>

#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/kernels/async_copy.cuh"
#include "backends/cuda/kernels/block.cuh"
#include "backends/cuda/kernels/elements.cuh"
#include "backends/cuda/kernels/numbers.cuh"
#include "backends/cuda/kernels/words.cuh"

namespace deformer::cuda {

/// result [rows, out] = finish(source [rows, in] weights [out, in]^T + bias) (+ result). `in` and
/// `out` are multiples of 8, weights and source begin at multiples of 16 bytes.
struct SkinnyArgs {
  Element element;
  Finish finish;
  bool residual;  ///< onto what the result holds
  std::int32_t rows, in, out;
  std::int32_t split;  ///< blocks of a cluster that share the inner dimension: 1, 2 or 4
  const void* weights;
  const void* source;
  const void* bias;  ///< of the element; null with Finish::none
  void* result;
};

inline constexpr std::int64_t kMostSkinnyRows = 64;
inline constexpr int kMostSkinnySplit = 4;

/// How many blocks share an inner dimension: each has 768 of it or more, and together they are no
/// more than two waves of two a multiprocessor (132 of them on a Hopper).
inline std::int32_t skinny_split(std::int64_t in, std::int64_t out) {
  constexpr std::int64_t kLeastInner = 768;
  constexpr std::int64_t kMostBlocks = 2 * 2 * 132;
  std::int32_t split = 1;
  while (2 * split <= kMostSkinnySplit && in >= 2 * split * kLeastInner &&
         2 * split * ((out + 15) / 16) <= kMostBlocks) {
    split *= 2;
  }
  return split;
}

template <int kRowTiles>
struct SkinnyShape {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kRows = 16 * kRowTiles;
  static constexpr int kOutTiles = 2;
  static constexpr int kOuts = 8 * kOutTiles;
  static constexpr int kPiece = 32;  ///< of the inner dimension, that a warp takes at once
  static constexpr int kTurn = kPiece * kWarps;     ///< and a block
  static constexpr int kPairs = kRows * kOuts / 2;  ///< of neighbouring outputs
  static constexpr int kPairsThread = kPairs / kThreads;
  static constexpr int kSumBytes = kWarps * kPairs * 2 * static_cast<int>(sizeof(float));
  static constexpr int kPartBytes = kPairs * 2 * static_cast<int>(sizeof(float));

  static constexpr int kCountBytes = 16;  ///< for what counts the parts that come (cluster.cuh)
  static constexpr int kCountAt = kSumBytes + kPartBytes;  ///< where in shared memory it lies
  static constexpr int kWeightsAt = kCountAt + kCountBytes;

  /// A block's share of the inner dimension, in whole pieces.
  static DEFORMER_PORTABLE int share(int in, int split) {
    return ((in + kPiece - 1) / kPiece + split - 1) / split * kPiece;
  }
  /// Pieces a warp has, at most.
  static DEFORMER_PORTABLE int pieces(int in, int split) {
    return (share(in, split) + kTurn - 1) / kTurn;
  }
  /// Of shared memory, a block's.
  static std::int64_t bytes(int in, int split) {
    return kWeightsAt + std::int64_t{pieces(in, split)} * kOutTiles * kThreads *
                            static_cast<std::int64_t>(sizeof(Words));
  }
  static std::int64_t blocks(int out, int split) {
    return (std::int64_t{out} + kOuts - 1) / kOuts * split;
  }
};

/// The compiler has this value in a register here and does not work it out again later.
DEFORMER_PORTABLE void keep([[maybe_unused]] std::uint32_t& value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(value));
#endif
}

/// One block's work, in four steps:
///   begin      what may be done before the kernel before has ended
///   multiply   the rows are there
///   hand_over  all blocks of the cluster have begun: sums go to the blocks that finish them
///   finish     all blocks of the cluster have handed over
/// kWhole: every warp has whole pieces only. A question for each of its words would stand between
/// the kernel before and the first product.
template <class T, int kRowTiles, bool kWhole, class Block>
class SkinnyBlock {
  using Shape = SkinnyShape<kRowTiles>;
  static constexpr int kThreads = Shape::kThreads;
  static constexpr int kOutTiles = Shape::kOutTiles;
  /// Pieces whose rows are asked for before the first is used: 64 registers of them.
  static constexpr int kAhead = kRowTiles <= 2 ? 4 : 2;

 public:
  struct Two {
    float first, second;
  };

  /// The number-th of all, `split` neighbours being a cluster.
  DEFORMER_PORTABLE SkinnyBlock(Block& block, const SkinnyArgs& args, int number,
                                unsigned char* shared)
      : block_(block),
        args_(args),
        rank_(number % args.split),
        first_out_(number / args.split * Shape::kOuts),
        pieces_(Shape::pieces(args.in, args.split)),
        first_in_(rank_ * Shape::share(args.in, args.split)),
        end_in_(least(args.in, first_in_ + Shape::share(args.in, args.split))),
        sums_(reinterpret_cast<float*>(shared)),
        parts_(reinterpret_cast<Two*>(shared + Shape::kSumBytes)),
        weights_(reinterpret_cast<Words*>(shared + Shape::kWeightsAt)) {}

  DEFORMER_PORTABLE void begin() {
    block_.each_alone([&](int thread) {
      ask_for_weights(thread);
      read_bias(thread);
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int i = 0; i < 2 * kRowTiles; ++i) {
        // Beyond the last row it is read again: what becomes of it is not stored.
        const int row = least(8 * i + thread % 32 / 4, args_.rows - 1);
        state.row_at[i] = static_cast<std::uint32_t>(row * args_.in + place(thread, 0));
        keep(state.row_at[i]);
      }
      DEFORMER_UNROLL
      for (int row = 0; row < kRowTiles; ++row) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          state.sum[row][tile] = {};
        }
      }
    });
  }

  DEFORMER_PORTABLE void multiply() {
    DEFORMER_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      read_rows(i, i);
    }
    read_residual();
    block_.each_alone([](int) { wait_for_copies(); });
    for (int first = 0; first < pieces_; first += kAhead) {
      DEFORMER_UNROLL
      for (int i = 0; i < kAhead; ++i) {
        if (first + i < pieces_) {
          DEFORMER_UNROLL
          for (int tile = 0; tile < kOutTiles; ++tile) {
            multiply_tile(i, first + i, tile);
          }
          read_rows(i, first + kAhead + i);
        }
      }
    }
    put_down();
  }

  /// give(rank, own, two): `two` to where `own`, of this block, lies in block `rank`.
  template <class Give>
  DEFORMER_PORTABLE void hand_over(const Give& give) {
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairsThread; ++i) {
        const int pair = i * kThreads + thread;
        const Two sum = over_warps(pair);
        if (args_.split == 1) {
          sum_[thread].at[i] = sum;
        } else {
          const int owner = pair * args_.split / Shape::kPairs;
          give(owner, parts_ + rank_ * mine() + pair - owner * mine(), sum);
        }
      }
    });
  }

  DEFORMER_PORTABLE void finish() {
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairsThread; ++i) {
        const Pair pair = pair_of(thread, i);
        if (pair.there) {
          put(pair, args_.split == 1 ? sum_[thread].at[i] : over_blocks(i * kThreads + thread),
              thread, i);
        }
      }
    });
  }

 private:
  /// One that a thread finishes.
  struct Pair {
    int row, out;
    bool there;
  };
  struct Twos {
    Two at[Shape::kPairsThread];
  };
  struct Stored {
    Word<T, 2> at[Shape::kPairsThread];
  };
  struct State {
    FragmentC sum[kRowTiles][kOutTiles];
    Words rows[kAhead][2 * kRowTiles];    ///< every eighth row, g of the tiles and g + 8
    std::uint32_t row_at[2 * kRowTiles];  ///< the element that each begins with
  };

  static DEFORMER_PORTABLE int least(int first, int second) {
    return first < second ? first : second;
  }
  /// Pairs that a block finishes.
  DEFORMER_PORTABLE int mine() const { return Shape::kPairs / args_.split; }
  /// The first of eight inner places that a thread has of a piece.
  DEFORMER_PORTABLE int place(int thread, int piece) const {
    return first_in_ + piece * Shape::kTurn + thread / 32 * Shape::kPiece + thread % 4 * 8;
  }
  DEFORMER_PORTABLE Words* slot(int thread, int piece, int tile) const {
    return weights_ + (piece * kOutTiles + tile) * kThreads + thread;
  }
  DEFORMER_PORTABLE Pair pair_of(int thread, int i) const {
    const int own = i * kThreads + thread;
    const int number = rank_ * mine() + own;
    const int row = number / (Shape::kOuts / 2);
    const int out = first_out_ + number % (Shape::kOuts / 2) * 2;
    return {row, out, own < mine() && row < args_.rows && out < args_.out};
  }

  DEFORMER_PORTABLE void ask_for_weights(int thread) {
    const auto* weights = static_cast<const T*>(args_.weights);
    for (int piece = 0; piece < pieces_; ++piece) {
      const int at = place(thread, piece);
      DEFORMER_UNROLL
      for (int tile = 0; tile < kOutTiles; ++tile) {
        const int out = first_out_ + 8 * tile + thread % 32 / 4;
        const bool there = out < args_.out && (kWhole || at < end_in_);
        copy_async<sizeof(Words)>(slot(thread, piece, tile),
                                  weights + (there ? std::int64_t{out} * args_.in + at : 0), there);
      }
    }
  }

  DEFORMER_PORTABLE void read_bias(int thread) {
    DEFORMER_UNROLL
    for (int i = 0; i < Shape::kPairsThread; ++i) {
      const Pair pair = pair_of(thread, i);
      bias_[thread].at[i] = args_.finish != Finish::none && pair.there
                                ? load_words<T, 2>(args_.bias, pair.out)
                                : Word<T, 2>{};
    }
  }

  DEFORMER_PORTABLE void read_residual() {
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairsThread; ++i) {
        const Pair pair = pair_of(thread, i);
        residual_[thread].at[i] = args_.residual && pair.there
                                      ? load_words<T, 2>(args_.result, place_of(pair))
                                      : Word<T, 2>{};
      }
    });
  }
  DEFORMER_PORTABLE std::int64_t place_of(const Pair& pair) const {
    return std::int64_t{pair.row} * args_.out + pair.out;
  }

  /// Zeros beyond the end of the inner dimension.
  DEFORMER_PORTABLE void read_rows(int i, int piece) {
    if (piece < pieces_) {
      block_.each_alone([&](int thread) {
        const bool there = kWhole || place(thread, piece) < end_in_;
        DEFORMER_UNROLL
        for (int row = 0; row < 2 * kRowTiles; ++row) {
          state_[thread].rows[i][row] = there ? row_words(thread, row, piece) : Words{};
        }
      });
    }
  }
  DEFORMER_PORTABLE Words row_words(int thread, int row, int piece) {
    return *reinterpret_cast<const Words*>(static_cast<const T*>(args_.source) +
                                           state_[thread].row_at[row] + piece * Shape::kTurn);
  }

  DEFORMER_PORTABLE void multiply_tile(int i, int piece, int tile) {
    typename Block::template PerThread<Words> weights;
    block_.each_alone([&](int thread) { weights[thread] = *slot(thread, piece, tile); });
    DEFORMER_UNROLL
    for (int row = 0; row < kRowTiles; ++row) {
      DEFORMER_UNROLL
      for (int step = 0; step < 2; ++step) {
        block_.template multiply<T>(
            [&](int thread) {
              const Words& upper = state_[thread].rows[i][2 * row];
              const Words& lower = state_[thread].rows[i][2 * row + 1];
              return FragmentA{{upper.word[2 * step], lower.word[2 * step],
                                upper.word[2 * step + 1], lower.word[2 * step + 1]}};
            },
            [&](int thread) {
              return FragmentB{
                  {weights[thread].word[2 * step], weights[thread].word[2 * step + 1]}};
            },
            [&](int thread) -> FragmentC& { return state_[thread].sum[row][tile]; });
      }
    }
  }

  /// Where a warp's sum of this row and output (0 to 15, even) lies. The halves of a row change
  /// places every two rows: what the threads of a warp write at once lies in different banks.
  DEFORMER_PORTABLE Pack<float, 2>* sum_at(int warp, int row, int out) const {
    const int swapped = out ^ row / 2 % 2 * 8;
    return reinterpret_cast<Pack<float, 2>*>(sums_ + (warp * Shape::kRows + row) * Shape::kOuts +
                                             swapped);
  }

  DEFORMER_PORTABLE void put_down() {
    block_.each([&](int thread) {
      DEFORMER_UNROLL
      for (int row = 0; row < kRowTiles; ++row) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          const FragmentC& sum = state_[thread].sum[row][tile];
          const int at = 16 * row + thread % 32 / 4;
          const int out = 8 * tile + thread % 4 * 2;
          *sum_at(thread / 32, at, out) = {{sum.at[0], sum.at[1]}};
          *sum_at(thread / 32, at + 8, out) = {{sum.at[2], sum.at[3]}};
        }
      }
    });
  }

  DEFORMER_PORTABLE Two over_warps(int pair) const {
    constexpr int kPairsRow = Shape::kOuts / 2;
    Two sum{};
    DEFORMER_UNROLL
    for (int warp = 0; warp < Shape::kWarps; ++warp) {
      const auto part = *sum_at(warp, pair / kPairsRow, pair % kPairsRow * 2);
      sum.first += part.at[0];
      sum.second += part.at[1];
    }
    return sum;
  }
  /// Of the own-th pair that this block finishes.
  DEFORMER_PORTABLE Two over_blocks(int own) const {
    Two sum{};
    DEFORMER_UNROLL
    for (int rank = 0; rank < kMostSkinnySplit; ++rank) {
      if (rank < args_.split) {
        const Two part = parts_[rank * mine() + own];
        sum.first += part.first;
        sum.second += part.second;
      }
    }
    return sum;
  }

  DEFORMER_PORTABLE void put(const Pair& pair, const Two& sum, int thread, int i) {
    const Values<2> bias = widened(bias_[thread].at[i]);
    const Values<2> residual = widened(residual_[thread].at[i]);
    store_words(args_.result, place_of(pair),
                narrowed<T>(sum_of(Values<2>{{finished(sum.first + bias.at[0]),
                                              finished(sum.second + bias.at[1])}},
                                   residual)));
  }

  DEFORMER_PORTABLE float finished(float value) const {
    switch (args_.finish) {
      case Finish::bias_gelu_erf:
        return gelu_for<T, Activation::gelu_erf>(value);
      case Finish::bias_gelu_tanh:
        return gelu_for<T, Activation::gelu_tanh>(value);
      default:
        return value;
    }
  }

  Block& block_;
  const SkinnyArgs& args_;
  int rank_;  ///< in the cluster
  int first_out_;
  int pieces_;
  int first_in_, end_in_;  ///< this block's of the inner dimension; none where it ends before
  float* sums_;            ///< [warps, rows, outs]
  Two* parts_;             ///< [blocks, pairs that this one finishes]
  Words* weights_;         ///< [pieces, tiles, threads]
  typename Block::template PerThread<State> state_;
  typename Block::template PerThread<Twos> sum_;
  typename Block::template PerThread<Stored> bias_;
  typename Block::template PerThread<Stored> residual_;
};

/// f(row tiles, whether all pieces are whole), integral constants, for these arguments.
template <class F>
void with_skinny_tiles(const SkinnyArgs& args, const F& f) {
  const auto with_rows = [&](auto whole) {
    if (args.rows <= 32) {
      f(std::integral_constant<int, 2>{}, whole);
    } else {
      f(std::integral_constant<int, 4>{}, whole);
    }
  };
  if (args.in % (SkinnyShape<2>::kTurn * args.split) == 0) {
    with_rows(std::true_type{});
  } else {
    with_rows(std::false_type{});
  }
}

/// Whether a block has the shared memory that it needs.
inline bool skinny_fits(const SkinnyArgs& args, std::int64_t shared_bytes_block) {
  std::int64_t bytes = 0;
  with_skinny_tiles(args, [&](auto rows, auto) {
    bytes = SkinnyShape<decltype(rows)::value>::bytes(args.in, args.split);
  });
  return bytes <= shared_bytes_block;
}

/// What a product is in these terms, or nullopt where it is none: too many rows, another element,
/// scales, widths that are no multiple of 8. Without `clusters`, which are the device's, every
/// block has all of the inner dimension.
inline std::optional<SkinnyArgs> skinny_args(const ProductArgs& args, bool clusters) {
  const LtProblem& problem = args.problem;
  const Element element = problem.a.element;
  const bool half = element == Element::bf16 || element == Element::f16;
  const bool plain =
      half && problem.b.element == element && problem.d.element == element && !problem.scaled &&
      !problem.tf32 &&
      (problem.beta == 0.0F || problem.finish == Finish::none || problem.finish == Finish::bias);
  if (!plain || problem.rows() > kMostSkinnyRows || problem.in() % 8 != 0 ||
      problem.out() % 8 != 0) {
    return std::nullopt;
  }
  return SkinnyArgs{element,
                    problem.finish,
                    problem.beta != 0.0F,
                    static_cast<std::int32_t>(problem.rows()),
                    static_cast<std::int32_t>(problem.in()),
                    static_cast<std::int32_t>(problem.out()),
                    clusters ? skinny_split(problem.in(), problem.out()) : 1,
                    args.weights,
                    args.source,
                    args.bias,
                    args.result};
}

}  // namespace deformer::cuda
