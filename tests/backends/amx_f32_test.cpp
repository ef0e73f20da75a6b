/// f32 products by AMX against float64 and against multiply-adds, which they must not be behind.

#include "backends/cpu/amx_f32.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/linear.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

std::vector<float> noise(std::int64_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

struct Factors {
  Factors(const LinearKind& kind, std::int64_t row_count, float scale = 1.0F)
      : rows(row_count),
        x(noise(rows * row_stride(kind.in), 1, scale)),
        weights(noise(kind.in * kind.out, 2, 0.05F)),
        bias(noise(kind.out, 3, scale)),
        before(noise(rows * row_stride(kind.out), 4, scale)) {}

  std::int64_t rows;
  std::vector<float> x;
  std::vector<float> weights;
  std::vector<float> bias;
  std::vector<float> before;
};

std::vector<float> multiply(const LinearEngine& engine, const Factors& factors, int threads,
                            int times = 1) {
  Slab slab;
  const auto weights = engine.pack(
      [&](std::span<float> out) { std::ranges::copy(factors.weights, out.begin()); },
      [&](std::span<float> out) { std::ranges::copy(factors.bias, out.begin()); }, slab);
  const auto linear = engine.prepare(factors.rows);
  const AlignedBuffer scratch(std::max<std::int64_t>(64, linear->scratchpad_bytes(threads)));
  std::vector<float> result;
  Team team(threads, {});
  for (int i = 0; i < times; ++i) {
    result = factors.before;
    linear->bind({factors.x.data(), result.data(), scratch.data()});
    team.run([&](const Worker& worker) { linear->work(*weights, worker); });
  }
  return result;
}

double activated(Epilogue epilogue, double y, double before) {
  switch (epilogue) {
    case Epilogue::residual:
      return before + y;
    case Epilogue::bias_gelu_erf:
      return y * 0.5 * std::erfc(-y / std::sqrt(2.0));
    case Epilogue::bias_gelu_tanh:
      return 0.5 * y * (1 + std::tanh(0.7978845608028654 * (y + 0.044715 * y * y * y)));
    case Epilogue::bias:
      break;
  }
  return y;
}

/// Root of the mean square of what is off, over some rows.
double error_of(const LinearKind& kind, const Factors& factors, const std::vector<float>& result) {
  double squares = 0;
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < factors.rows; row += 7) {
    for (std::int64_t column = 0; column < kind.out; ++column) {
      double y = factors.bias[static_cast<std::size_t>(column)];
      for (std::int64_t k = 0; k < kind.in; ++k) {
        y += static_cast<double>(
                 factors.x[static_cast<std::size_t>(row * row_stride(kind.in) + k)]) *
             static_cast<double>(factors.weights[static_cast<std::size_t>(column * kind.in + k)]);
      }
      const auto at = static_cast<std::size_t>(row * row_stride(kind.out) + column);
      const double off = result[at] - activated(kind.epilogue, y, factors.before[at]);
      squares += off * off;
      ++count;
    }
  }
  return std::sqrt(squares / static_cast<double>(count));
}

class AmxF32 : public testing::Test {
 protected:
  void SetUp() override {
    if (!amx_f32::use()) GTEST_SKIP() << "this processor has no AMX";
  }
};

TEST_F(AmxF32, ErrsLessThanMultiplyAdds) {
  const LinearKind kinds[] = {{768, 96, Epilogue::bias},
                              {1056, 64, Epilogue::residual},
                              {3072, 96, Epilogue::residual},
                              {128, 160, Epilogue::bias_gelu_erf},
                              {1056, 64, Epilogue::bias_gelu_tanh},
                              {32, 32, Epilogue::bias}};
  for (const LinearKind& kind : kinds) {
    for (const std::int64_t rows : {1, 16, 17, 27, 32, 48, 49, 161, 333, 700}) {
      SCOPED_TRACE(testing::Message() << kind.in << " to " << kind.out << ", rows " << rows);
      const Factors factors(kind, rows);
      const double amx = error_of(kind, factors, multiply(*make_amx_engine(kind), factors, 3));
      const double adds = error_of(kind, factors, multiply(*make_panel_engine(kind), factors, 3));
      EXPECT_LT(amx, 1.1 * adds);
      EXPECT_LT(amx, 3e-6);
    }
  }
}

TEST_F(AmxF32, SmallAndLargeNumbersKeepTheirPrecision) {
  const LinearKind kind{768, 64, Epilogue::bias};
  for (const float scale : {1e-25F, 1e25F}) {
    const Factors factors(kind, 96, scale);
    const double amx = error_of(kind, factors, multiply(*make_amx_engine(kind), factors, 2));
    EXPECT_LT(amx, 1e-6 * static_cast<double>(scale)) << scale;
  }
}

TEST_F(AmxF32, RowsBetweenAGroupAndWhereSplittingPaysAreMultipliedAndAdded) {
  const LinearKind kind{768, 96, Epilogue::bias_gelu_erf};
  for (const std::int64_t rows : {33, 40, 47}) {
    const Factors factors(kind, rows);
    EXPECT_EQ(multiply(*make_amx_engine(kind), factors, 2).size(), factors.before.size());
    EXPECT_LT(error_of(kind, factors, multiply(*make_amx_engine(kind), factors, 2)), 1e-5);
  }
}

TEST_F(AmxF32, APageIsWhereEachWorkerOfFewRowsBeginsToRead) {
  const LinearKind kind{768, 160, Epilogue::bias};
  Slab slab;
  const auto engine = make_amx_engine(kind);
  const auto zero = [](std::span<float> out) { std::ranges::fill(out, 0.0F); };
  slab.take(64);  // what lies before
  const auto weights = engine->pack(zero, zero, slab);
  const auto linear = engine->prepare(27);
  const float* begins[2] = {};
  Team(2, {}).run(
      [&](const Worker& worker) { begins[worker.index()] = linear->first_read(*weights, worker); });
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(begins[0]) % 4096, 0U);
  EXPECT_EQ(begins[1] - begins[0], 2 * 768 * amx_f32::kColumns);
}

TEST_F(AmxF32, BitsDependOnNeitherThreadsNorWhoWasQuicker) {
  for (const LinearKind& kind : {LinearKind{3072, 320, Epilogue::residual},
                                 LinearKind{768, 1600, Epilogue::bias_gelu_erf}}) {
    for (const std::int64_t rows : {1, 27, 32, 48, 128, 333}) {
      const Factors factors(kind, rows);
      const auto engine = make_amx_engine(kind);
      const std::vector<float> once = multiply(*engine, factors, 1);
      for (const int threads : {2, 3, 5}) {
        EXPECT_EQ(multiply(*engine, factors, threads, 5), once) << rows << " rows, " << threads;
      }
    }
  }
}

TEST_F(AmxF32, ANanStaysInItsRow) {
  const LinearKind kind{64, 32, Epilogue::bias};
  for (const std::int64_t rows : {27, 64}) {
    Factors factors(kind, rows);
    factors.x[static_cast<std::size_t>(5 * row_stride(kind.in) + 17)] =
        std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> result = multiply(*make_amx_engine(kind), factors, 1);
    for (std::int64_t row = 0; row < rows; ++row) {
      EXPECT_EQ(std::isnan(result[static_cast<std::size_t>(row * row_stride(kind.out))]), row == 5);
    }
  }
}

TEST_F(AmxF32, PartsOfARowAddUpToIt) {
  constexpr std::int64_t kRows = 41;
  constexpr std::int64_t kSteps = 3;
  const std::vector<float> x = noise(kRows * kSteps * amx_f32::kStepInner, 5);
  const AlignedBuffer parts(kRows * kSteps * amx_f32::kRowStepBytes);
  const amx_f32::Rows rows{kRows, kSteps, parts.data()};
  amx_f32::split_rows(x.data(), kSteps * amx_f32::kStepInner, rows);
  const auto* numbers = reinterpret_cast<const std::uint16_t*>(parts.data());
  for (std::int64_t row = 0; row < kRows; ++row) {
    const std::int64_t first = row / rows.group_rows() * rows.group_rows();
    const std::int64_t count = std::min(rows.group_rows(), kRows - first);
    for (std::int64_t k = 0; k < kSteps * amx_f32::kStepInner; ++k) {
      const std::int64_t step = k / amx_f32::kStepInner;
      double sum = 0;
      for (std::int64_t part = 0; part < amx_f32::kParts; ++part) {
        const std::int64_t group = first * kSteps * amx_f32::kParts * amx_f32::kStepInner;
        const std::int64_t inside =
            ((step * amx_f32::kParts + part) * count + (row - first)) * amx_f32::kStepInner;
        sum += static_cast<double>(std::bit_cast<float>(
            std::uint32_t{numbers[group + inside + k % amx_f32::kStepInner]} << 16));
      }
      ASSERT_EQ(sum, static_cast<double>(
                         x[static_cast<std::size_t>(row * kSteps * amx_f32::kStepInner + k)]));
    }
  }
}

}  // namespace
}  // namespace deformer
