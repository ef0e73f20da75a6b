/// The CPU backend's vector code on every instruction set that this processor can run, not only the
/// best one: an AVX-512 machine runs the AVX2 paths too.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backends/cpu/attention.hpp"
#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/tiles.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

float value_at(std::int64_t i) {
  return static_cast<float>(i * 37 % 101) / 101.0F - 0.5F;
}

std::vector<float> values(std::int64_t count) {
  std::vector<float> result(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    result[static_cast<std::size_t>(i)] = value_at(i);
  }
  return result;
}

double after(Epilogue epilogue, double product, double before) {
  switch (epilogue) {
    case Epilogue::residual:
      return before + product;
    case Epilogue::bias_gelu_erf:
      return product * 0.5 * std::erfc(-product / std::sqrt(2.0));
    case Epilogue::bias_gelu_tanh:
      return 0.5 * product *
             (1 +
              std::tanh(0.7978845608028654 * (product + 0.044715 * product * product * product)));
    case Epilogue::bias:
      break;
  }
  return product;
}

void expect_panels(const LinearKind& kind, std::int64_t rows) {
  const auto weights = values(kind.in * kind.out);
  const auto bias = values(kind.out);
  const std::int64_t a_row = row_stride(kind.in);
  const std::int64_t c_row = row_stride(kind.out);
  const auto a = values(rows * a_row);
  auto c = values(rows * c_row);
  const auto before = c;
  Slab slab;
  const auto engine = make_panel_engine(kind);
  const auto packed = engine->pack(
      [&](std::span<float> out) { std::copy_n(weights.data(), out.size(), out.data()); },
      [&](std::span<float> out) { std::copy_n(bias.data(), out.size(), out.data()); }, slab);
  const auto linear = engine->prepare(rows);
  linear->bind({a.data(), c.data(), nullptr});
  Team team(3, {});
  team.run([&](const Worker& worker) { linear->work(*packed, worker); });
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < kind.out; ++column) {
      double sum = bias[static_cast<std::size_t>(column)];
      for (std::int64_t k = 0; k < kind.in; ++k) {
        sum += static_cast<double>(a[static_cast<std::size_t>(row * a_row + k)]) *
               static_cast<double>(weights[static_cast<std::size_t>(column * kind.in + k)]);
      }
      const auto at = static_cast<std::size_t>(row * c_row + column);
      ASSERT_NEAR(c[at], after(kind.epilogue, sum, before[at]), 1e-4) << row << ", " << column;
    }
  }
}

TEST(Targets, PanelsMultiplyOnEveryInstructionSet) {
  on_every_target([] {
    expect_panels({70, 50, Epilogue::bias}, 27);
    expect_panels({33, 96, Epilogue::residual}, 1);
    expect_panels({64, 100, Epilogue::bias_gelu_erf}, 19);
    expect_panels({64, 47, Epilogue::bias_gelu_tanh}, 200);
    expect_panels({1100, 17, Epilogue::residual}, 11);
    expect_panels({65, 150, Epilogue::bias}, 301);  // rows enough for each thread to keep its own
  });
}

TEST(Targets, AttentionOfEqualKeysIsTheMeanOfValuesOnEveryInstructionSet) {
  on_every_target([] {
    constexpr std::int64_t kTokens = 61;
    constexpr std::int64_t kHead = 43;
    const std::vector<std::int64_t> cumulative{0, kTokens};
    const Attention attention(cumulative, {}, 1, kHead, 1);
    auto qkv = values(kTokens * row_stride(3 * kHead));
    std::vector<double> means(kHead, 0.0);
    for (std::int64_t row = 0; row < kTokens; ++row) {
      float* at = qkv.data() + row * row_stride(3 * kHead);
      std::fill_n(at + kHead, kHead, 0.25F);
      for (std::int64_t i = 0; i < kHead; ++i) {
        means[static_cast<std::size_t>(i)] += static_cast<double>(at[2 * kHead + i]) / kTokens;
      }
    }
    std::vector<float> context(static_cast<std::size_t>(kTokens * row_stride(kHead)));
    std::vector<float> scratch(static_cast<std::size_t>(attention.scratch_bytes()) / sizeof(float));
    Team team(1, {});
    team.run([&](const Worker& worker) {
      attention.work(qkv.data(), context.data(), scratch.data(), nullptr, worker);
    });
    for (std::int64_t row = 0; row < kTokens; ++row) {
      for (std::int64_t i = 0; i < kHead; ++i) {
        ASSERT_NEAR(context[static_cast<std::size_t>(row * row_stride(kHead) + i)],
                    means[static_cast<std::size_t>(i)], 1e-5);
      }
    }
  });
}

}  // namespace
}  // namespace deformer
