/// Attention in bf16 against softmax attention in float64 of the same bf16 numbers.

#include "backends/cpu/narrow_attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/narrow_amx_attention.hpp"
#include "backends/cpu/narrow_softmax.hpp"
#include "tests/backends/bf16_numbers.hpp"

namespace deformer {
namespace {

struct Case {
  std::vector<std::int64_t> cumulative;
  std::int64_t heads;
  std::int64_t d_head;
  int threads;

  std::int64_t d() const { return heads * d_head; }
  std::int64_t rows() const { return cumulative.back(); }
};

/// bf16 rows of queries, keys and values.
class Qkv {
 public:
  Qkv(const Case& c, float scale)
      : row_bytes_(narrow_row_bytes(3 * c.d(), 2)), memory_(c.rows() * row_bytes_) {
    std::mt19937 engine(3);
    std::normal_distribution<float> normal(0.0F, scale);
    for (std::int64_t row = 0; row < c.rows(); ++row) {
      for (std::int64_t column = 0; column < 3 * c.d(); ++column) {
        set(row, column, normal(engine));
      }
    }
  }
  const std::byte* data() const { return memory_.data(); }
  double at(std::int64_t row, std::int64_t column) const {
    return from_bf16(memory_.data() + row * row_bytes_ + column * 2);
  }
  void set(std::int64_t row, std::int64_t column, float value) {
    codec::encode_bf16(&value, 1, memory_.data() + row * row_bytes_ + column * 2);
  }

 private:
  std::int64_t row_bytes_;
  AlignedBuffer memory_;
};

/// One row's context in one column, and the same of the values' magnitudes.
struct Mixed {
  double value;
  double magnitude;
};

Mixed plain_attention(const Case& c, const Qkv& qkv, std::size_t sequence, std::int64_t query,
                      std::int64_t column) {
  const std::int64_t head = column / c.d_head * c.d_head;
  const auto score = [&](std::int64_t key) {
    double sum = 0.0;
    for (std::int64_t i = head; i < head + c.d_head; ++i) {
      sum += qkv.at(query, i) * qkv.at(key, c.d() + i);
    }
    return sum;
  };
  const std::int64_t first = c.cumulative[sequence];
  const std::int64_t last = c.cumulative[sequence + 1];
  double most = -std::numeric_limits<double>::infinity();
  for (std::int64_t key = first; key < last; ++key) {
    most = std::max(most, score(key));
  }
  double sum = 0.0;
  Mixed mixed{0.0, 0.0};
  for (std::int64_t key = first; key < last; ++key) {
    const double weight = std::exp(score(key) - most);
    sum += weight;
    mixed.value += weight * qkv.at(key, 2 * c.d() + column);
    mixed.magnitude += weight * std::abs(qkv.at(key, 2 * c.d() + column));
  }
  return {mixed.value / sum, mixed.magnitude / sum};
}

/// bf16 rows of contexts.
AlignedBuffer attend(const Case& c, const Qkv& qkv, const NarrowTiles& set) {
  const NarrowAttention attention(c.cumulative, c.heads, c.d_head, c.threads, set);
  AlignedBuffer context(c.rows() * narrow_row_bytes(c.d(), 2));
  const AlignedBuffer scratch(attention.scratch_bytes() + 64);
  std::fill_n(scratch.data(), scratch.bytes(), std::byte{0xFF});  // NaNs, to be overwritten
  Team team(c.threads, {});
  team.run([&](const Worker& worker) {
    attention.work(qkv.data(), context.data(), scratch.data(), worker);
  });
  for (std::int64_t i = attention.scratch_bytes(); i < scratch.bytes(); ++i) {
    EXPECT_EQ(scratch.data()[i], std::byte{0xFF}) << "written beyond the scratch memory";
  }
  return context;
}

void expect_attention(const Case& c, const Qkv& qkv, const NarrowTiles& set) {
  // Probabilities and contexts are rounded to bf16 (half an ulp: 2^-8 at worst), the exponential
  // and the sums are good to a few 1e-4 of that.
  constexpr double kError = 2 * 0x1p-8 + 3e-4;
  const AlignedBuffer context = attend(c, qkv, set);
  for (std::size_t sequence = 0; sequence + 1 < c.cumulative.size(); ++sequence) {
    for (std::int64_t row = c.cumulative[sequence]; row < c.cumulative[sequence + 1]; ++row) {
      for (std::int64_t column = row % 13; column < c.d(); column += 13) {
        const Mixed expected = plain_attention(c, qkv, sequence, row, column);
        ASSERT_NEAR(from_bf16(context.data() + row * narrow_row_bytes(c.d(), 2) + column * 2),
                    expected.value, kError * expected.magnitude)
            << set.isa << ", heads of " << c.d_head << ": " << row << ", " << column;
      }
    }
  }
}

void expect_attention(const Case& c, float scale, const NarrowTiles& set) {
  expect_attention(c, Qkv(c, scale), set);
}

template <typename Check>
void for_all_sets(const Check& check) {
  if (NarrowAttention::tiles() == nullptr) {
    std::printf("SKIPPED: this processor has no bf16 attention\n");
    return;
  }
  for (const NarrowTiles& set : narrow_tiles(DType::bf16)) {
    check(set);
  }
}

TEST(NarrowAttention, IsSoftmaxOfQueriesTimesKeysTimesValues) {
  for_all_sets([](const NarrowTiles& set) {
    expect_attention({{0, 1, 27, 28, 61, 148}, 2, 64, 2}, 0.7F, set);
    expect_attention({{0, 31, 63, 96, 121}, 3, 32, 1}, 0.7F, set);
    expect_attention({{0, 25, 49}, 4, 16, 3}, 0.7F, set);
    expect_attention({{0, 320}, 2, 64, 2}, 0.3F, set);
    expect_attention({{0, 65}, 1, 128, 2}, 0.7F, set);
    expect_attention({{0, 40, 73}, 2, 48, 2}, 0.7F, set);
  });
}

// Then the queries of a head are split, and each thread packs the same keys.
TEST(NarrowAttention, SplitsQueriesWhereHeadsAreFewerThanThreads) {
  for_all_sets([](const NarrowTiles& set) {
    expect_attention({{0, 150}, 1, 32, 4}, 0.7F, set);
    expect_attention({{0, 33, 34}, 1, 32, 4}, 0.7F, set);
    expect_attention({{0, 1}, 1, 32, 4}, 0.7F, set);
  });
}

TEST(NarrowAttention, SurvivesLargeScores) {
  for_all_sets([](const NarrowTiles& set) { expect_attention({{0, 50}, 2, 32, 1}, 30.0F, set); });
}

TEST(NarrowAttention, SurvivesKeysOfVeryDifferentScores) {
  for_all_sets([](const NarrowTiles& set) {
    for (const float later : {-90.0F, -40.0F, 40.0F, 90.0F, 300.0F}) {
      const Case c{{0, 70}, 1, 32, 1};
      Qkv qkv(c, 0.7F);
      for (std::int64_t row = 0; row < c.rows(); ++row) {
        qkv.set(row, 0, 1.0F);
        qkv.set(row, c.d(), row < 32 ? 0.0F : later);
      }
      expect_attention(c, qkv, set);
    }
  });
}

// Of a block of queries, one row all of whose scores lie far below the others'.
TEST(NarrowAttention, SurvivesQueriesOfVeryDifferentScores) {
  for_all_sets([](const NarrowTiles& set) {
    for (const float lowest : {-50.0F, -80.0F, -200.0F}) {
      const Case c{{0, 70}, 1, 32, 1};
      Qkv qkv(c, 0.7F);
      for (std::int64_t row = 0; row < c.rows(); ++row) {
        qkv.set(row, 0, row % 16 == 5 ? lowest : 0.0F);
        qkv.set(row, c.d(), 1.0F);
      }
      expect_attention(c, qkv, set);
    }
  });
}

TEST(NarrowAttention, TheTilesExponentialIsGoodToAFiftiethOfBf16) {
  if (NarrowAttention::tiles() == nullptr) {
    std::printf("SKIPPED: this processor has no bf16 attention\n");
    return;
  }
  constexpr int kPoints = 1 << 20;
  double worst = 0.0;
  for (int first = 0; first < kPoints; first += 16) {
    float scores[16];
    float found[16];
    for (int i = 0; i < 16; ++i) {  // as far as sums are accepted, and on to where all is 0
      scores[i] = 69.0F - 149.0F * static_cast<float>(first + i) / kPoints;
    }
    narrow::tile_exponentials(scores, found);
    for (int i = 0; i < 16; ++i) {
      worst = std::max(worst, std::abs(found[i] / std::exp(static_cast<double>(scores[i])) - 1.0));
    }
  }
  EXPECT_LT(worst, 0x1p-8 / 50 + 1.2e-7 * 80);
  EXPECT_GT(worst, 7e-5) << "better than its header says";
}

TEST(NarrowAttention, ANanOfOneKeyReachesEveryQueryOfItsSequenceAndNoOther) {
  for_all_sets([](const NarrowTiles& set) {
    const Case c{{0, 40, 75, 90}, 2, 32, 1};
    Qkv qkv(c, 0.7F);
    qkv.set(60, c.d() + 5, std::numeric_limits<float>::quiet_NaN());  // head 0
    const AlignedBuffer context = attend(c, qkv, set);
    for (std::int64_t row = 0; row < c.rows(); ++row) {
      for (std::int64_t column = 0; column < c.d(); ++column) {
        const float found =
            from_bf16(context.data() + row * narrow_row_bytes(c.d(), 2) + column * 2);
        ASSERT_EQ(std::isnan(found), row >= 40 && row < 75 && column < 32) << row << ", " << column;
      }
    }
  });
}

}  // namespace
}  // namespace deformer
