/// Products of few rows, by the kernel's own code, against sums in double.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "backends/cuda/host/encode.hpp"
#include "backends/cuda/kernels/host_block.hpp"
#include "backends/cuda/kernels/skinny.cuh"
#include "tests/cuda_host/noise.hpp"

namespace deformer::cuda {
namespace {

struct Setting {
  Element element;
  Finish finish;
  bool residual;
  std::int64_t rows, in, out;
  std::int32_t split = 1;
};

class Trial {
 public:
  explicit Trial(const Setting& setting)
      : setting_(setting),
        problem_(lt_problem({.activations = setting.element, .operands = setting.element},
                            setting.rows, setting.in, setting.out, setting.finish,
                            setting.residual)),
        weights_(stored(setting.out * setting.in, 0.1F, 1)),
        source_(stored(setting.rows * setting.in, 1.0F, 2)),
        bias_(stored(setting.out, 0.5F, 3)),
        result_(stored(setting.rows * setting.out + kBeyond, 1.0F, 4)) {}

  /// Relative to the largest there should be; infinite if anything beyond the result was written.
  double largest_error() {
    const std::vector<float> before = values(result_);
    run();
    const std::vector<float> after = values(result_);
    const auto count = static_cast<std::size_t>(setting_.rows * setting_.out);
    double most = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double wanted = expected(i, before[i]);
      most = std::max(
          most, std::abs(static_cast<double>(after[i]) - wanted) / std::max(1.0, std::abs(wanted)));
      most = std::isfinite(after[i]) ? most : INFINITY;
    }
    const bool kept = std::equal(after.begin() + static_cast<std::ptrdiff_t>(count), after.end(),
                                 before.begin() + static_cast<std::ptrdiff_t>(count));
    return kept ? most : INFINITY;
  }

 private:
  static constexpr std::int64_t kBeyond = 4096;

  std::vector<std::byte> stored(std::int64_t count, float deviation, unsigned seed) const {
    return encode(setting_.element, noise(static_cast<std::size_t>(count), deviation, seed));
  }
  std::vector<float> values(const std::vector<std::byte>& bytes) const {
    return decode(setting_.element, bytes.data(),
                  static_cast<std::int64_t>(bytes.size()) / bytes_of(setting_.element));
  }

  double expected(std::size_t at, float before) const {
    const auto in = static_cast<std::size_t>(setting_.in);
    const std::size_t row = at / static_cast<std::size_t>(setting_.out);
    const std::size_t out = at % static_cast<std::size_t>(setting_.out);
    double sum = setting_.finish == Finish::none ? 0.0 : static_cast<double>(bias_values_[out]);
    for (std::size_t k = 0; k < in; ++k) {
      sum += static_cast<double>(source_values_[row * in + k]) *
             static_cast<double>(weight_values_[out * in + k]);
    }
    if (setting_.finish == Finish::bias_gelu_erf) {
      sum = 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0)));
    } else if (setting_.finish == Finish::bias_gelu_tanh) {
      sum = 0.5 * sum * (1 + std::tanh(std::sqrt(2 / M_PI) * (sum + 0.044715 * sum * sum * sum)));
    }
    return sum + (setting_.residual ? static_cast<double>(before) : 0.0);
  }

  void run() {
    auto args = skinny_args(
        {problem_, weights_.data(), source_.data(), result_.data(), bias_.data(), nullptr, nullptr},
        false);
    ASSERT_TRUE(args);
    args->split = setting_.split;
    with_skinny_tiles(*args, [&](auto rows, auto whole) {
      if (setting_.element == Element::bf16) {
        run_clusters<Bf16, decltype(rows)::value, decltype(whole)::value>(*args);
      } else {
        run_clusters<F16, decltype(rows)::value, decltype(whole)::value>(*args);
      }
    });
  }

  template <class T, int kRowTiles, bool kWhole>
  static void run_clusters(const SkinnyArgs& args) {
    const std::int64_t blocks = SkinnyShape<kRowTiles>::blocks(args.out, args.split);
    for (std::int64_t first = 0; first < blocks; first += args.split) {
      run_cluster<T, kRowTiles, kWhole>(args, static_cast<int>(first));
    }
  }

  /// Each step by all blocks before the next one, as the barriers of the device have it.
  template <class T, int kRowTiles, bool kWhole>
  static void run_cluster(const SkinnyArgs& args, int first) {
    using Shape = SkinnyShape<kRowTiles>;
    using Threads = HostBlock<Shape::kThreads>;
    using Work = SkinnyBlock<T, kRowTiles, kWhole, Threads>;
    const auto bytes = static_cast<std::size_t>(Shape::bytes(args.in, args.split));
    const auto ranks = static_cast<std::size_t>(args.split);
    // What lies in shared memory at first is NaN, to be noticed.
    std::vector<Words> shared(ranks * bytes / sizeof(Words), Words{{~0U, ~0U, ~0U, ~0U}});
    auto* memory = reinterpret_cast<unsigned char*>(shared.data());
    std::vector<Threads> threads(ranks);
    std::vector<std::unique_ptr<Work>> works;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      works.push_back(std::make_unique<Work>(threads[rank], args, first + static_cast<int>(rank),
                                             memory + rank * bytes));
      works[rank]->begin();
      works[rank]->multiply();
    }
    std::vector<std::size_t> sent(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      works[rank]->hand_over([&](int to, void* own, const typename Work::Two& two) {
        auto* there = static_cast<unsigned char*>(own) +
                      (to - static_cast<std::ptrdiff_t>(rank)) * static_cast<std::ptrdiff_t>(bytes);
        auto* pair = reinterpret_cast<typename Work::Two*>(there);
        if (!std::isnan(pair->first)) {
          throw std::logic_error("two blocks hand over to the same place");
        }
        *pair = two;
        sent[static_cast<std::size_t>(to)] += sizeof two;
      });
    }
    // On the device a block waits for exactly so many bytes, and ends when they have come.
    if (args.split > 1 && std::ranges::count(sent, std::size_t{Shape::kPartBytes}) != args.split) {
      throw std::logic_error("a block waits for other bytes than are sent to it");
    }
    for (const auto& work : works) {
      work->finish();
    }
  }

  Setting setting_;
  LtProblem problem_;
  std::vector<std::byte> weights_, source_, bias_, result_;
  std::vector<float> weight_values_ = values(weights_);
  std::vector<float> source_values_ = values(source_);
  std::vector<float> bias_values_ = values(bias_);
};

double error_of(const Setting& setting) {
  return Trial(setting).largest_error();
}

/// Half a step of bf16 of the result, and what sums of f32 lose.
constexpr double kBf16 = 0.0045;
constexpr double kF16 = 0.0008;

TEST(Skinny, EveryFinishIsRightAtTheWidthsOfBertBase) {
  for (const Finish finish :
       {Finish::none, Finish::bias, Finish::bias_gelu_erf, Finish::bias_gelu_tanh}) {
    EXPECT_LT(error_of({Element::bf16, finish, false, 27, 768, 2304}), kBf16) << to_string(finish);
    EXPECT_LT(error_of({Element::f16, finish, false, 27, 768, 64}), kF16) << to_string(finish);
  }
}

TEST(Skinny, AResidualIsAddedInPlace) {
  EXPECT_LT(error_of({Element::bf16, Finish::bias, true, 27, 3072, 768}), kBf16);
  EXPECT_LT(error_of({Element::f16, Finish::none, true, 27, 768, 768}), kF16);
}

TEST(Skinny, RowsAndWidthsNeedNotFillTheTiles) {
  for (const std::int64_t rows : {1, 8, 15, 16, 17, 32, 33, 47, 64}) {
    EXPECT_LT(error_of({Element::bf16, Finish::bias, true, rows, 104, 24}), kBf16) << rows;
  }
  for (const std::int64_t in : {8, 24, 32, 128, 256, 264, 1032}) {
    EXPECT_LT(error_of({Element::bf16, Finish::bias, false, 9, in, 1544}), kBf16) << in;
  }
}

TEST(Skinny, BlocksOfAClusterShareTheInnerDimension) {
  for (const std::int32_t split : {2, 4}) {
    for (const std::int64_t rows : {27, 64}) {
      const auto error = [&](Finish finish, bool residual, std::int64_t in, std::int64_t out) {
        return error_of({Element::bf16, finish, residual, rows, in, out, split});
      };
      EXPECT_LT(error(Finish::bias, true, 3072, 64), kBf16) << split << " " << rows;
      EXPECT_LT(error(Finish::bias_gelu_erf, false, 4096, 32), kBf16) << split << " " << rows;
    }
  }
  EXPECT_LT(error_of({Element::f16, Finish::none, true, 33, 1536, 48, 2}), kF16);
}

TEST(Skinny, SharesOfTheInnerDimensionNeedNotBeAlike) {
  for (const std::int32_t split : {2, 4}) {
    // The last blocks have less, or nothing.
    for (const std::int64_t in : {8, 40, 72, 1032, 1304, 2312}) {
      for (const std::int64_t rows : {1, 17, 50}) {
        EXPECT_LT(error_of({Element::bf16, Finish::bias, true, rows, in, 40, split}), kBf16)
            << split << " " << in << " " << rows;
      }
    }
  }
}

TEST(Skinny, LongInnerDimensionsAreSplit) {
  EXPECT_EQ(skinny_split(768, 768), 1);
  EXPECT_EQ(skinny_split(768, 3072), 1);
  EXPECT_EQ(skinny_split(1024, 1024), 1);
  EXPECT_EQ(skinny_split(1536, 384), 2);
  EXPECT_EQ(skinny_split(3072, 768), 4);
  EXPECT_EQ(skinny_split(4096, 1024), 4);
  EXPECT_EQ(skinny_split(4096, 4096), 2);   // 256 blocks of outputs
  EXPECT_EQ(skinny_split(4096, 16384), 1);  // 1024: more than there is room for
}

TEST(Skinny, ADeviceWithoutClustersGetsNoSplit) {
  const LtProblem problem = lt_problem({.activations = Element::bf16, .operands = Element::bf16},
                                       27, 3072, 768, Finish::bias, true);
  const ProductArgs args{problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  EXPECT_EQ(skinny_args(args, true)->split, 4);
  EXPECT_EQ(skinny_args(args, false)->split, 1);
}

TEST(Skinny, WhatItCantDoIsRefused) {
  const auto refused = [](const LtProblem& problem) {
    return !skinny_args({problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}, true);
  };
  const Numbers bf16{.activations = Element::bf16, .operands = Element::bf16};
  EXPECT_FALSE(refused(lt_problem(bf16, 64, 768, 768, Finish::bias, true)));
  EXPECT_TRUE(refused(lt_problem(bf16, 65, 768, 768, Finish::bias, true)));
  EXPECT_TRUE(refused(lt_problem(bf16, 27, 772, 768, Finish::bias, true)));
  EXPECT_TRUE(refused(lt_problem(bf16, 27, 768, 772, Finish::bias, true)));
  EXPECT_TRUE(refused(lt_problem({.activations = Element::f32, .operands = Element::f32}, 27, 768,
                                 768, Finish::bias, true)));
}

}  // namespace
}  // namespace deformer::cuda
