#pragma once
/// Products of few rows (a question's 27): what takes their time is bringing the weights, each of
/// which is used once. A block of eight warps has 8 or 16 outputs; each warp takes every eighth
/// piece of 32 of the inner dimension, and the warps' sums are added through shared memory, always
/// in the same order.
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
#include "backends/cuda/kernels/numbers.cuh"
#include "backends/cuda/kernels/rows.cuh"

namespace deformer::cuda {

/// result [rows, out] = finish(source [rows, in] weights [out, in]^T + bias) (+ result). `in` and
/// `out` are multiples of 8, weights and source begin at multiples of 16 bytes.
struct SkinnyArgs {
  Element element;
  Finish finish;
  bool residual;  ///< onto what the result holds
  std::int32_t rows, in, out;
  const void* weights;
  const void* source;
  const void* bias;  ///< of the element; null with Finish::none
  void* result;
};

inline constexpr std::int64_t kMostSkinnyRows = 64;

template <class T, int kRowTiles, int kOutTiles>
struct SkinnyShape {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kRows = 16 * kRowTiles;
  static constexpr int kOuts = 8 * kOutTiles;
  static constexpr int kPiece = 32;  ///< of the inner dimension, that a warp takes at once
  static constexpr int kSumBytes = kWarps * kRows * kOuts * static_cast<int>(sizeof(float));
  /// Pairs of outputs a thread finishes.
  static constexpr int kPairs = kRows * kOuts / 2 / kThreads > 0 ? kRows* kOuts / 2 / kThreads : 1;

  /// Pieces a warp has, at most.
  static DEFORMER_PORTABLE int pieces(std::int64_t in) {
    return static_cast<int>((in + kPiece * kWarps - 1) / (kPiece * kWarps));
  }
  /// Of shared memory, a block's.
  static DEFORMER_PORTABLE int bytes(std::int64_t in) {
    return kSumBytes + pieces(in) * kOutTiles * kThreads * static_cast<int>(sizeof(Words));
  }
};

template <class T, int kRowTiles, int kOutTiles, class Block>
class SkinnyBlock {
  using Shape = SkinnyShape<T, kRowTiles, kOutTiles>;
  static constexpr int kThreads = Shape::kThreads;
  /// Pieces whose rows are asked for before the first is used: 64 registers of them.
  static constexpr int kAhead = kRowTiles <= 2 ? 4 : 2;

 public:
  DEFORMER_PORTABLE SkinnyBlock(Block& block, const SkinnyArgs& args, int number,
                                unsigned char* shared)
      : block_(block),
        args_(args),
        first_out_(number * Shape::kOuts),
        sums_(reinterpret_cast<float*>(shared)),
        weights_(reinterpret_cast<Words*>(shared + Shape::kSumBytes)) {}

  /// What may be done before the kernel before has ended.
  DEFORMER_PORTABLE void begin() {
    block_.each_alone([&](int thread) {
      const auto* weights = static_cast<const T*>(args_.weights);
      for (int piece = 0; piece < pieces(); ++piece) {
        const int at = place(thread, piece);
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          const int out = first_out_ + 8 * tile + thread % 32 / 4;
          const bool there = out < args_.out && at < args_.in;
          copy_async(slot(thread, piece, tile),
                     weights + (there ? std::int64_t{out} * args_.in + at : 0), there);
        }
      }
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairs; ++i) {
        const Pair pair = pair_of(thread, i);
        const bool biased = args_.finish != Finish::none && pair.out < args_.out;
        bias_[thread].at[i] =
            biased ? two_at(static_cast<const T*>(args_.bias) + pair.out) : Two{0.0F, 0.0F};
      }
    });
  }

  /// The rest: the rows are there.
  DEFORMER_PORTABLE void finish() {
    read_residual();
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int row = 0; row < kRowTiles; ++row) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          state_[thread].sum[row][tile] = {};
        }
      }
    });
    for (int first = 0; first < pieces(); first += kAhead) {
      read_rows(first);
      if (first == 0) {
        block_.each_alone([](int) { wait_for_copies(); });
      }
      multiply(first);
    }
    add_up();
  }

 private:
  struct Two {
    float first, second;
  };
  struct Pair {
    int row, out;
    bool mine;
  };
  struct Twos {
    Two at[Shape::kPairs];
  };
  struct State {
    FragmentC sum[kRowTiles][kOutTiles];
    Words upper[kAhead][kRowTiles];  ///< rows g of the tiles
    Words lower[kAhead][kRowTiles];  ///< rows g + 8
  };

  DEFORMER_PORTABLE int pieces() const { return Shape::pieces(args_.in); }
  /// The first of eight inner places that a thread has of a piece.
  static DEFORMER_PORTABLE int place(int thread, int piece) {
    return (piece * Shape::kWarps + thread / 32) * Shape::kPiece + thread % 4 * 8;
  }
  DEFORMER_PORTABLE Words* slot(int thread, int piece, int tile) const {
    return weights_ + (piece * kOutTiles + tile) * kThreads + thread;
  }
  /// The i-th pair of neighbouring outputs that a thread finishes.
  DEFORMER_PORTABLE Pair pair_of(int thread, int i) const {
    const int number = i * kThreads + thread;
    const int row = number / (Shape::kOuts / 2);
    return {row, first_out_ + number % (Shape::kOuts / 2) * 2, row < Shape::kRows};
  }
  static DEFORMER_PORTABLE Two two_at(const T* from) {
    const auto pair = *reinterpret_cast<const Pack<T, 2>*>(from);
    return {to_float(pair.at[0]), to_float(pair.at[1])};
  }

  DEFORMER_PORTABLE void read_residual() {
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairs; ++i) {
        const Pair pair = pair_of(thread, i);
        const bool there = args_.residual && pair.row < args_.rows && pair.out < args_.out;
        residual_[thread].at[i] = there ? two_at(static_cast<const T*>(args_.result) +
                                                 std::int64_t{pair.row} * args_.out + pair.out)
                                        : Two{0.0F, 0.0F};
      }
    });
  }

  DEFORMER_PORTABLE void read_rows(int first) {
    block_.each_alone([&](int thread) {
      State& state = state_[thread];
      DEFORMER_UNROLL
      for (int i = 0; i < kAhead; ++i) {
        const int at = place(thread, first + i);
        DEFORMER_UNROLL
        for (int tile = 0; tile < kRowTiles; ++tile) {
          const int row = 16 * tile + thread % 32 / 4;
          state.upper[i][tile] = row_words(row, at);
          state.lower[i][tile] = row_words(row + 8, at);
        }
      }
    });
  }
  /// Zeros beyond the rows and the inner dimension.
  DEFORMER_PORTABLE Words row_words(int row, int at) const {
    if (row >= args_.rows || at >= args_.in) {
      return {};
    }
    return *reinterpret_cast<const Words*>(static_cast<const T*>(args_.source) +
                                           std::int64_t{row} * args_.in + at);
  }

  DEFORMER_PORTABLE void multiply(int first) {
    DEFORMER_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      if (first + i < pieces()) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          multiply_tile(i, first + i, tile);
        }
      }
    }
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
              const Words& upper = state_[thread].upper[i][row];
              const Words& lower = state_[thread].lower[i][row];
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

  /// Over the warps, and out.
  DEFORMER_PORTABLE void add_up() {
    block_.each([&](int thread) {
      const int group = thread % 32 / 4;
      float* mine = sums_ + thread / 32 * Shape::kRows * Shape::kOuts + thread % 4 * 2;
      DEFORMER_UNROLL
      for (int row = 0; row < kRowTiles; ++row) {
        DEFORMER_UNROLL
        for (int tile = 0; tile < kOutTiles; ++tile) {
          const FragmentC& sum = state_[thread].sum[row][tile];
          float* upper = mine + (16 * row + group) * Shape::kOuts + 8 * tile;
          float* lower = upper + 8 * Shape::kOuts;
          *reinterpret_cast<Pack<float, 2>*>(upper) = {{sum.at[0], sum.at[1]}};
          *reinterpret_cast<Pack<float, 2>*>(lower) = {{sum.at[2], sum.at[3]}};
        }
      }
    });
    block_.each_alone([&](int thread) {
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kPairs; ++i) {
        const Pair pair = pair_of(thread, i);
        if (pair.mine && pair.row < args_.rows && pair.out < args_.out) {
          put(thread, i, pair);
        }
      }
    });
  }

  DEFORMER_PORTABLE void put(int thread, int i, const Pair& pair) {
    const float* from = sums_ + pair.row * Shape::kOuts + pair.out - first_out_;
    Two sum = bias_[thread].at[i];
    DEFORMER_UNROLL
    for (int warp = 0; warp < Shape::kWarps; ++warp) {
      const auto part =
          *reinterpret_cast<const Pack<float, 2>*>(from + warp * Shape::kRows * Shape::kOuts);
      sum.first += part.at[0];
      sum.second += part.at[1];
    }
    const Two& residual = residual_[thread].at[i];
    auto* to = static_cast<T*>(args_.result) + std::int64_t{pair.row} * args_.out + pair.out;
    *reinterpret_cast<Pack<T, 2>*>(to) = {
        {Rounded<T>::from(finished(sum.first) + residual.first),
         Rounded<T>::from(finished(sum.second) + residual.second)}};
  }

  DEFORMER_PORTABLE float finished(float value) const {
    switch (args_.finish) {
      case Finish::bias_gelu_erf:
        return gelu(Activation::gelu_erf, value);
      case Finish::bias_gelu_tanh:
        return gelu(Activation::gelu_tanh, value);
      default:
        return value;
    }
  }

  Block& block_;
  const SkinnyArgs& args_;
  int first_out_;
  float* sums_;     ///< [warps, rows, outs]
  Words* weights_;  ///< [pieces, tiles, threads]
  typename Block::template PerThread<State> state_;
  typename Block::template PerThread<Twos> bias_;
  typename Block::template PerThread<Twos> residual_;
};

/// f(row tiles, out tiles), as integral constants, for so many rows and outputs. Sixteen outputs a
/// block, unless that leaves multiprocessors without one (132 of them on a Hopper).
template <class F>
void with_skinny_tiles(std::int64_t rows, std::int64_t out, const F& f) {
  constexpr std::int64_t kWide = 96 * 16;
  const auto with_outs = [&](auto row_tiles) {
    if (out >= kWide) {
      f(row_tiles, std::integral_constant<int, 2>{});
    } else {
      f(row_tiles, std::integral_constant<int, 1>{});
    }
  };
  if (rows <= 32) {
    with_outs(std::integral_constant<int, 2>{});
  } else {
    with_outs(std::integral_constant<int, 4>{});
  }
}

/// What a product is in these terms, or nullopt where it is none: too many rows, another element,
/// scales, widths that are no multiple of 8.
inline std::optional<SkinnyArgs> skinny_args(const ProductArgs& args) {
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
                    args.weights,
                    args.source,
                    args.bias,
                    args.result};
}

}  // namespace deformer::cuda
