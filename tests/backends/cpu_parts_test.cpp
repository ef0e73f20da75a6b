/// The CPU backend's parts on their own.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/arena.hpp"
#include "backends/cpu/attention.hpp"
#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/team.hpp"
#include "backends/cpu/tiles.hpp"
#include "backends/cpu/transpose.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

std::vector<float> noise(std::int64_t count, float scale = 1.0F) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    value = normal(engine);
  }
  return values;
}

TEST(ArenaPlan, BuffersNeverAliveTogetherShareBytes) {
  ArenaPlan plan;
  const int early = plan.add(1000, 0, 1);
  const int late = plan.add(900, 2, 3);
  plan.place();
  EXPECT_EQ(plan.offset(early), plan.offset(late));
  EXPECT_EQ(plan.peak_bytes(), 1024);
}

TEST(ArenaPlan, BuffersAliveTogetherDoNot) {
  ArenaPlan plan;
  const int a = plan.add(100, 0, 2);
  const int b = plan.add(100, 2, 3);
  const int c = plan.add(64, 1, 2);
  plan.place();
  EXPECT_GE(std::abs(plan.offset(a) - plan.offset(b)), 128);
  EXPECT_GE(std::abs(plan.offset(c) - plan.offset(a)), 64);
  EXPECT_GE(std::abs(plan.offset(c) - plan.offset(b)), 64);
  EXPECT_EQ(plan.peak_bytes(), 128 + 128 + 64);
}

TEST(ArenaPlan, FillsGapsBetweenLongLivedBuffers) {
  ArenaPlan plan;
  plan.add(256, 0, 9);
  plan.add(128, 0, 3);
  plan.add(64, 0, 9);
  const int later = plan.add(128, 4, 9);
  plan.place();
  EXPECT_EQ(plan.offset(later), 256);
  EXPECT_EQ(plan.peak_bytes(), 448);
}

TEST(Arena, AnOutgrownBlockStaysReadableUntilTheNextRun) {
  Arena arena;
  arena.grow(1000);
  std::byte* first = arena.acquire();
  first[10] = std::byte{42};
  arena.grow(100'000);
  EXPECT_EQ(first[10], std::byte{42});
  EXPECT_NE(arena.acquire(), first);
}

/// How often each of `pieces` was drawn in each of `steps` steps, and by whom it was drawn last.
struct Drawn {
  std::vector<std::atomic<int>> times;
  std::vector<int> by;
};

void draw_all(Team& team, std::int64_t pieces, int steps, Drawn& drawn) {
  team.run([&](const Worker& worker) {
    for (int step = 0; step < steps; ++step) {
      for (std::int64_t piece; (piece = worker.next_near(pieces)) < pieces;) {
        const auto at = static_cast<std::size_t>(piece);
        drawn.times[at].fetch_add(1);
        drawn.by[at] = worker.index();
      }
      worker.barrier();
    }
  });
}

TEST(Worker, DrawsEveryNearPieceOnceAStep) {
  constexpr int kSteps = 50;
  Team team(3, {});
  for (const std::int64_t pieces : {0, 1, 2, 3, 4, 31, 100}) {
    Drawn drawn{std::vector<std::atomic<int>>(static_cast<std::size_t>(pieces)),
                std::vector<int>(static_cast<std::size_t>(pieces))};
    draw_all(team, pieces, kSteps, drawn);
    for (const auto& times : drawn.times) {
      EXPECT_EQ(times.load(), kSteps) << pieces << " pieces";
    }
  }
}

TEST(Worker, DrawsFromItsOwnRangeFirstThenWhatOthersLeave) {
  constexpr std::int64_t kPieces = 10;
  Team team(2, {});
  std::vector<std::int64_t> order;
  team.run([&](const Worker& worker) {
    if (worker.index() == 1) {  // the other one never draws
      for (std::int64_t piece; (piece = worker.next_near(kPieces)) < kPieces;) {
        order.push_back(piece);
      }
    }
  });
  EXPECT_EQ(order, (std::vector<std::int64_t>{5, 6, 7, 8, 9, 0, 1, 2, 3, 4}));
}

struct AttentionCase {
  std::vector<std::int64_t> cumulative;
  std::int64_t heads;
  std::int64_t d_head;
};

/// softmax(Q K^T) V in float64; rows as far apart as the backend keeps them.
std::vector<float> plain_attention(const AttentionCase& c, const std::vector<float>& qkv) {
  const std::int64_t d = c.heads * c.d_head;
  const auto at = [&](std::int64_t row, std::int64_t column) {
    return static_cast<double>(qkv[static_cast<std::size_t>(row * row_stride(3 * d) + column)]);
  };
  std::vector<float> context(static_cast<std::size_t>(c.cumulative.back() * d));
  for (std::size_t s = 0; s + 1 < c.cumulative.size(); ++s) {
    for (std::int64_t column = 0; column < d; ++column) {
      const std::int64_t head = column / c.d_head * c.d_head;
      for (std::int64_t query = c.cumulative[s]; query < c.cumulative[s + 1]; ++query) {
        double sum = 0.0;
        double mixed = 0.0;
        for (std::int64_t key = c.cumulative[s]; key < c.cumulative[s + 1]; ++key) {
          double score = 0.0;
          for (std::int64_t i = head; i < head + c.d_head; ++i) {
            score += at(query, i) * at(key, d + i);
          }
          sum += std::exp(score);
          mixed += std::exp(score) * at(key, 2 * d + column);
        }
        context[static_cast<std::size_t>(query * d + column)] = static_cast<float>(mixed / sum);
      }
    }
  }
  return context;
}

void expect_attention(const AttentionCase& c, float scale = 0.7F, float tolerance = 2e-5F) {
  const std::int64_t d = c.heads * c.d_head;
  const std::int64_t rows = c.cumulative.back();
  const auto qkv = noise(rows * row_stride(3 * d), scale);
  const auto expected = plain_attention(c, qkv);
  std::vector<float> found(static_cast<std::size_t>(rows * row_stride(d)), 99.0F);
  const Attention attention(c.cumulative, {}, c.heads, c.d_head, 3);
  std::vector<float> scratch(static_cast<std::size_t>(attention.scratch_bytes()) / sizeof(float));
  Team team(3, {});
  team.run([&](const Worker& worker) {
    attention.work(qkv.data(), found.data(), scratch.data(), nullptr, worker);
  });
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < row_stride(d); ++column) {
      const float value = found[static_cast<std::size_t>(row * row_stride(d) + column)];
      if (column < d) {
        ASSERT_NEAR(value, expected[static_cast<std::size_t>(row * d + column)], tolerance)
            << row << ", " << column;
      } else {
        ASSERT_EQ(value, 99.0F) << "padding of row " << row;
      }
    }
  }
}

TEST(Attention, IsSoftmaxOfQueriesTimesKeysTimesValues) {
  on_every_target([] {
    expect_attention({{0, 1, 27, 28, 61, 148}, 2, 64});
    expect_attention({{0, 31, 63, 96, 121}, 3, 11});
    expect_attention({{0, 25, 49}, 5, 9});
    expect_attention({{0, 40}, 1, 45});
    expect_attention({{0, 33}, 4, 1});
    expect_attention({{0, 50, 100}, 2, 32});
    expect_attention({{0, 49}, 2, 128});
  });
}

TEST(Attention, OfSequencesLongerThanAChunkOfKeysIsTheSame) {
  on_every_target([] {
    expect_attention({{0, 97, 330}, 2, 16});
    expect_attention({{0, 80, 193}, 1, 32});
  });
}

/// Scores of some hundreds: their exponentials overflow unless the largest is subtracted.
TEST(Attention, HoldsWhereScoresAreLarge) {
  on_every_target([] { expect_attention({{0, 17, 130}, 2, 32}, 4.0F, 2e-3F); });
}

TEST(Transpose, TurnsRowsOfAnyShapeAndFillsWithZeros) {
  on_every_target([] {
    const std::int64_t lanes = tiles().lanes;
    for (const std::int64_t columns : {1, 7, 16, 33, 64}) {
      for (const std::int64_t rows : {1, 5, 16, 31, 64}) {
        const std::int64_t width = (rows + lanes - 1) / lanes * lanes;
        const std::int64_t stride = columns + 3;
        const auto given = noise(rows * stride);
        std::vector<float> turned(static_cast<std::size_t>(columns * width), 99.0F);
        kernels::transpose(given.data(), stride, rows, columns, turned.data(), width);
        for (std::int64_t row = 0; row < width; ++row) {
          for (std::int64_t column = 0; column < columns; ++column) {
            ASSERT_EQ(turned[static_cast<std::size_t>(column * width + row)],
                      row < rows ? given[static_cast<std::size_t>(row * stride + column)] : 0.0F)
                << rows << " x " << columns << " at " << row << ", " << column;
          }
        }
      }
    }
  });
}

TEST(Softmax, ExponentialsAreWithinTheirStatedError) {
  on_every_target([] {
    constexpr std::int64_t kKeys = 4000;
    const std::int64_t width = tiles().lanes * 3;
    std::vector<float> scores(static_cast<std::size_t>(kKeys * width));
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i] = 5.0F - 87.0F * static_cast<float>(i) / static_cast<float>(scores.size());
    }
    const std::vector<float> given = scores;
    const std::vector<float> highest(static_cast<std::size_t>(width), 5.0F);
    std::vector<float> sums(static_cast<std::size_t>(width), 1.0F);
    kernels::exp_columns(scores.data(), kKeys, width, highest.data(), sums.data());
    double worst = 0.0;
    std::vector<double> expected(static_cast<std::size_t>(width), 1.0);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double exact = std::exp(static_cast<double>(given[i] - 5.0F));
      const double stated = 2e-7 + 8e-8 * static_cast<double>(5.0F - given[i]);
      worst = std::max(worst, std::abs(scores[i] / exact - 1.0) / stated);
      expected[i % static_cast<std::size_t>(width)] += exact;
    }
    EXPECT_LT(worst, 1.0);
    for (std::size_t column = 0; column < sums.size(); ++column) {
      EXPECT_NEAR(sums[column] / expected[column], 1.0, 1e-5);
    }
  });
}

TEST(Softmax, SurvivesLargeScores) {
  constexpr std::size_t kWidth = 48;
  std::vector<float> scores(3 * kWidth, -1e30F);
  for (std::size_t column = 0; column < kWidth; ++column) {
    scores[kWidth + column] = 3e4F;
  }
  std::vector<float> highest(kWidth, -std::numeric_limits<float>::infinity());
  std::vector<float> sums(kWidth, 0.0F);
  kernels::highest_of_columns(scores.data(), 3, kWidth, highest.data());
  kernels::exp_columns(scores.data(), 3, kWidth, highest.data(), sums.data());
  for (std::size_t column = 0; column < kWidth; ++column) {
    EXPECT_EQ(highest[column], 3e4F);
    EXPECT_EQ(sums[column], 1.0F);
    EXPECT_LE(scores[column], 1.2e-38F);
    EXPECT_GE(scores[column], 0.0F);
    EXPECT_EQ(scores[kWidth + column], 1.0F);
  }
}

TEST(LayerNorm, HoldsWhereTheMeanDwarfsTheDeviation) {
  const std::int64_t d = 77;
  auto x = noise(d, 0.01F);
  for (float& value : x) {
    value += 1000.0F;
  }
  const std::vector<float> given = x;
  const std::vector<float> ones(static_cast<std::size_t>(d), 1.0F);
  const std::vector<float> zeros(static_cast<std::size_t>(d), 0.0F);
  kernels::normalise(x.data(), 1, d, d, {ones.data(), zeros.data(), 1e-12F});
  double mean = 0.0;
  for (const float value : given) {
    mean += static_cast<double>(value) / static_cast<double>(d);
  }
  double variance = 0.0;
  for (const float value : given) {
    variance += (value - mean) * (value - mean) / static_cast<double>(d);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(x[i], (given[i] - mean) / std::sqrt(variance), 2e-2);
  }
}

/// Of `kernel` against float64 over [-12, 12].
double worst_gelu_error(void (*kernel)(float*, std::int64_t, std::int64_t, std::int64_t),
                        double (*exact)(double)) {
  std::vector<float> x(96'000);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(static_cast<double>(i) / 4000.0 - 12.0);
  }
  const std::vector<float> given = x;
  kernel(x.data(), 1, static_cast<std::int64_t>(x.size()), static_cast<std::int64_t>(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::abs(x[i] - exact(given[i])));
  }
  return worst;
}

TEST(Gelu, ErfFormIsWithinItsStatedError) {
  const auto exact = [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_LT(worst_gelu_error(kernels::gelu_erf, exact), 5e-6);
}

TEST(Gelu, TanhFormIsWithinItsStatedError) {
  const auto exact = [](double x) {
    return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  };
  EXPECT_LT(worst_gelu_error(kernels::gelu_tanh, exact), 2e-6);
}

TEST(Gelu, HugeArgumentsGiveTheArgumentOrNothing) {
  for (const auto kernel : {kernels::gelu_erf, kernels::gelu_tanh}) {
    std::vector<float> x(48, 1e6F);
    x[1] = -1e6F;
    kernel(x.data(), 1, 48, 48);
    EXPECT_NEAR(x[0], 1e6F, 1.0);
    EXPECT_NEAR(x[1], 0.0F, 1.0);
  }
}

}  // namespace
}  // namespace deformer
