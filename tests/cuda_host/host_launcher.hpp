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
#include "backends/cuda/kernels/host_block.hpp"
#include "backends/cuda/kernels/rows.cuh"

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
  void launch(const EmbedArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      with_chunks(args.d, [&](auto chunks) {
        for (std::int64_t row = 0; row < args.rows; ++row) {
          embed_row<decltype(type), chunks.value>(warp_, args, row);
        }
      });
    });
  }
  void launch(const NormArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      with_chunks(args.d, [&](auto chunks) {
        for (std::int64_t row = 0; row < args.rows; ++row) {
          norm_row<decltype(type), chunks.value>(warp_, args, row);
        }
      });
    });
  }
  void launch(const ProductArgs& args, Branch) override;
  void launch(const AttentionArgs& args, Branch) override {
    with_attention(args, [&](auto kind) { attend(kind, args); });
  }
  void launch(const GeluArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      for (std::int64_t pack = 0; pack < args.count / kPack; ++pack) {
        gelu_pack<decltype(type)>(args, pack);
      }
    });
  }
  void launch(const QuantiseArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      for (std::int64_t pack = 0; pack < args.count / kPack; ++pack) {
        quantise_pack<decltype(type)>(args, pack);
      }
    });
  }
  void launch(const DecodeArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      each_row(args.run, args.runs, [&](const RowRun& run, std::int64_t row) {
        decode_row<decltype(type)>(warp_, args, run, row);
      });
    });
  }
  void launch(const JoinArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      each_row(args.run, args.runs, [&](const RowRun& run, std::int64_t row) {
        join_row<decltype(type)>(warp_, args, run, row);
      });
    });
  }
  void launch(const WidenArgs& args, Branch) override {
    with_element(args.element, [&](auto type) {
      for (std::int64_t pack = 0; pack < args.count / kPack; ++pack) {
        widen_pack<decltype(type)>(args, pack);
      }
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
  template <class F>
  static void each_row(const RowRun* runs, std::int64_t count, const F& f) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t row = 0; row < runs[i].rows; ++row) {
        f(runs[i], row);
      }
    }
  }

  template <class Kind>
  static void attend(Kind, const AttentionArgs& args) {
    using Kernel = typename Kind::template Work<HostBlock>;
    const QueryBlocks blocks = args.blocks[kBlockTable<Kind::kQueries>];
    const auto bytes = static_cast<std::size_t>(Kind::bytes(args.longest));
    for (std::int64_t block = 0; block < blocks.count; ++block) {
      for (std::int64_t head = 0; head < args.heads; ++head) {
        HostBlock threads;
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
