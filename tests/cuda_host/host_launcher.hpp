#pragma once
/// Does on the host, step by step, what a program asks of a device: the kernels' own code, and each
/// product as its descriptor says, in columns, from the bytes that cuBLASLt would read.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "backends/cuda/host/encode.hpp"
#include "backends/cuda/host/launcher.hpp"
#include "backends/cuda/kernels/attention_kinds.hpp"
#include "backends/cuda/kernels/copies.cuh"
#include "backends/cuda/kernels/dispatch.hpp"
#include "backends/cuda/kernels/elements.cuh"
#include "backends/cuda/kernels/host_block.hpp"

namespace deformer::cuda {

/// Element (row, column) of a column-major matrix.
inline float element_at(const MatrixLayout& layout, const void* from, std::int64_t row,
                        std::int64_t column) {
  EXPECT_LT(row, layout.rows);
  EXPECT_LT(column, layout.columns);
  const std::int64_t at = (column * layout.leading + row) * bytes_of(layout.element);
  return decode(layout.element, static_cast<const std::byte*>(from) + at, 1).front();
}

/// All of a column-major matrix, [columns][rows].
inline std::vector<float> matrix(const MatrixLayout& layout, const void* from) {
  std::vector<float> values;
  for (std::int64_t column = 0; column < layout.columns; ++column) {
    const auto* first =
        static_cast<const std::byte*>(from) + column * layout.leading * bytes_of(layout.element);
    const std::vector<float> part = decode(layout.element, first, layout.rows);
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

/// 10 bits of mantissa, as tensor cores read f32.
inline float tf32(float value) {
  const std::uint32_t bits = bits_of(value);
  return float_of((bits + 0xFFFU + ((bits >> 13) & 1U)) & 0xFFFF'E000U);
}

class HostLauncher final : public Launcher {
 public:
  /// kWarps warps, of which some may have one row less than others, or none.
  void launch(const EmbedArgs& args, Branch) override {
    with_row_shape(args.element, args.d, args.padding, [&](auto shape) {
      for (std::int64_t warp = 0; warp < kWarps; ++warp) {
        embed_rows<decltype(shape)>(
            warp_, args, warp, kWarps, args.rows,
            [&](std::int64_t row) { return find_row(args, row); },
            [&] { return args.norm.parameters; });
      }
    });
  }
  void launch(const NormArgs& args, Branch) override {
    with_row_shape(args.element, args.d, args.padding, [&](auto shape) {
      for (std::int64_t warp = 0; warp < kWarps; ++warp) {
        norm_rows<decltype(shape)>(
            warp_, args, warp, kWarps, [] {}, [&] { return args.norm.parameters; });
      }
    });
  }
  void launch(const ProductArgs& args, Branch) override;
  void launch(const AttentionArgs& args, Branch) override {
    with_attention(args, [&](auto kind) { attend(kind, args); });
  }
  void launch(const GeluArgs& args, Branch) override {
    each_thread(args, [&](auto type, std::int64_t first, std::int64_t step) {
      gelu_words<decltype(type)>(args, first, step);
    });
  }
  void launch(const QuantiseArgs& args, Branch) override {
    each_thread(args, [&](auto type, std::int64_t first, std::int64_t step) {
      quantise_words<decltype(type)>(args, first, step);
    });
  }
  void launch(const WidenArgs& args, Branch) override {
    each_thread(args, [&](auto type, std::int64_t first, std::int64_t step) {
      widen_words<decltype(type)>(args, first, step);
    });
  }
  void launch(const DecodeArgs& args, Branch) override {
    each_part(args, [&](auto type, const RowRun& run, std::int64_t part, std::int64_t parts) {
      using T = decltype(type);
      if (args.padding > 0) {
        decode_part<T, true>(warp_, args, run, part, parts);
      } else {
        decode_part<T, false>(warp_, args, run, part, parts);
      }
    });
  }
  void launch(const JoinArgs& args, Branch) override {
    each_part(args, [&](auto type, const RowRun& run, std::int64_t part, std::int64_t parts) {
      join_part<decltype(type)>(warp_, args, run, part, parts);
    });
  }
  void launch(const DenseArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      for (std::int64_t row = 0; row < args.rows; ++row) {
        for (std::int64_t output = 0; output < args.outputs; ++output) {
          dense_output<decltype(type)>(warp_, args, row, output);
        }
      }
    });
  }
  void launch(const CopyArgs& args, Branch) override {
    std::memcpy(args.to, args.from, static_cast<std::size_t>(args.bytes));
  }
  void launch(const Fork&, Branch) override {}
  void launch(const Meet&, Branch) override {}
  void launch(const Mark&, Branch) override {}

 private:
  static constexpr std::int64_t kWarps = 5;

  /// f(type, first word, step) for the threads of as many blocks as the elements need.
  template <class Args, class F>
  static void each_thread(const Args& args, const F& f) {
    constexpr std::int64_t kThreads = 3;
    with_element(args.element, [&](auto type) {
      constexpr std::int64_t kWords = kThreads * kElementWords;
      const std::int64_t words = args.count / kWidest<decltype(type)> + 1;
      for (std::int64_t block = 0; block * kWords < words; ++block) {
        for (std::int64_t thread = 0; thread < kThreads; ++thread) {
          f(type, block * kWords + thread, kThreads);
        }
      }
    });
  }
  /// f(type, run, part, parts) for every warp of every run.
  template <class Args, class F>
  static void each_part(const Args& args, const F& f) {
    constexpr std::int64_t kParts = 3;
    with_element(args.element, [&](auto type) {
      for (std::int64_t run = 0; run < args.runs; ++run) {
        for (std::int64_t part = 0; part < kParts; ++part) {
          f(type, args.run[run], part, kParts);
        }
      }
    });
  }

  template <class Kind>
  static void attend(Kind, const AttentionArgs& args) {
    using Threads = HostBlock<Kind::kThreads>;
    using Kernel = typename Kind::template Work<Threads>;
    const QueryBlocks blocks = args.blocks[kBlockTable<Kind::kQueries>];
    const auto bytes = static_cast<std::size_t>(Kind::bytes(args.longest));
    for (std::int64_t block = 0; block < blocks.count; ++block) {
      for (std::int64_t head = 0; head < args.heads; ++head) {
        Threads threads;
        // What a block finds in shared memory: NaN, to be noticed. Of its own size, for sanitizers.
        std::vector<float> shared(bytes / sizeof(float), NAN);
        const auto kernel =
            std::make_unique<Kernel>(threads, args, blocks.block[block], static_cast<int>(head),
                                     reinterpret_cast<unsigned char*>(shared.data()));
        kernel->run();
        EXPECT_EQ(threads.conflicts(), 0);
        EXPECT_FALSE(threads.owes_copies());
      }
    }
  }

  HostWarp warp_;
};

/// alpha = 1; the bias runs down the columns of D; sums in double.
inline void HostLauncher::launch(const ProductArgs& args, Branch) {
  const LtProblem& problem = args.problem;
  EXPECT_EQ(problem.a.rows, problem.b.rows);
  EXPECT_EQ(problem.a.columns, problem.d.rows);
  EXPECT_EQ(problem.b.columns, problem.d.columns);
  const std::vector<float> a = matrix(problem.a, args.weights);
  const std::vector<float> b = matrix(problem.b, args.source);
  const float scale = problem.scaled ? *args.weight_scale * *args.source_scale : 1.0F;
  std::vector<float> bias(static_cast<std::size_t>(problem.out()), 0.0F);
  if (problem.finish != Finish::none) {
    bias = decode(problem.d.element, static_cast<const std::byte*>(args.bias), problem.out());
  }
  for (std::int64_t column = 0; column < problem.d.columns; ++column) {
    std::vector<float> results(static_cast<std::size_t>(problem.d.rows));
    for (std::int64_t row = 0; row < problem.d.rows; ++row) {
      double sum = 0;
      for (std::int64_t k = 0; k < problem.in(); ++k) {
        float x = a[static_cast<std::size_t>(row * problem.in() + k)];
        float y = b[static_cast<std::size_t>(column * problem.in() + k)];
        if (problem.tf32) {
          x = tf32(x);
          y = tf32(y);
        }
        sum += static_cast<double>(x) * static_cast<double>(y);
      }
      float value = static_cast<float>(sum) * scale;
      if (problem.beta != 0.0F) {
        value += problem.beta * element_at(problem.c, args.result, row, column);
      }
      value += bias[static_cast<std::size_t>(row)];
      if (problem.finish == Finish::bias_gelu_tanh) {
        value = gelu(Activation::gelu_tanh, value);
      } else if (problem.finish == Finish::bias_gelu_erf) {
        value = gelu(Activation::gelu_erf, value);
      }
      results[static_cast<std::size_t>(row)] = value;
    }
    const std::vector<std::byte> stored = encode(problem.d.element, results);
    std::memcpy(static_cast<std::byte*>(args.result) +
                    column * problem.d.leading * bytes_of(problem.d.element),
                stored.data(), stored.size());
  }
}

}  // namespace deformer::cuda
