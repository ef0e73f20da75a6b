/// XLNet's scores on every instruction set, against the formula as it is written.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backends/cpu/attention.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/transpose.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

std::vector<float> values(std::int64_t count, std::int64_t seed) {
  std::vector<float> result(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    result[static_cast<std::size_t>(i)] =
        static_cast<float>((i + seed) * 7919 % 2003) / 2003.0F - 0.5F;
  }
  return result;
}

TEST(AddTransposed, TurnsWhatItAddsOnEveryInstructionSet) {
  on_every_target([] {
    for (const std::int64_t queries : {1, 4, 15, 16, 17, 48}) {
      for (const std::int64_t keys : {1, 7, 16, 33, 61}) {
        constexpr std::int64_t kStride = 90;
        constexpr std::int64_t kWidth = 48;
        const auto rows = values(queries * kStride + 16, 1);
        const auto before = values(keys * kWidth, 5);
        auto scores = before;
        kernels::add_transposed(rows.data(), kStride, queries, keys, scores.data(), kWidth);
        for (std::int64_t key = 0; key < keys; ++key) {
          for (std::int64_t query = 0; query < kWidth; ++query) {
            const auto at = static_cast<std::size_t>(key * kWidth + query);
            const float added =
                query < queries ? rows[static_cast<std::size_t>(query * kStride + key)] : 0.0F;
            ASSERT_FLOAT_EQ(scores[at], before[at] + added) << query << ", " << key;
          }
        }
      }
    }
  });
}

/// Sequences of one batch, some of one segment, and what a layer's scores need.
struct Case {
  std::vector<std::int64_t> cumulative;
  std::vector<std::int64_t> first_texts;
  std::int64_t heads;
  std::int64_t d_head;
  std::int64_t reach;

  std::int64_t d() const { return heads * d_head; }
  std::int64_t stride() const { return row_stride(2 * reach + 1 + 16); }
};

struct Packed {
  explicit Packed(const Case& c)
      : keys(values(c.d() * c.stride(), 3)),
        key_bias(values(c.heads * c.stride(), 17)),
        segments(values(c.d(), 29)),
        segment_bias(values(c.heads, 31)),
        relative{c.reach,         c.stride(),      keys.data(),
                 key_bias.data(), segments.data(), segment_bias.data()} {}

  std::vector<float> keys, key_bias, segments, segment_bias;
  RelativeKeys relative;
};

double score(const Case& c, const Packed& packed, const float* query, const float* key,
             std::int64_t head, std::int64_t distance, bool same_segment) {
  const auto at = [](const std::vector<float>& from, std::int64_t index) {
    return double{from[static_cast<std::size_t>(index)]};
  };
  const std::int64_t column = c.reach - distance;
  double sum = at(packed.key_bias, head * c.stride() + column);
  sum += same_segment ? 0.0 : at(packed.segment_bias, head);
  for (std::int64_t i = 0; i < c.d_head; ++i) {
    const std::int64_t row = head * c.d_head + i;
    sum += double{query[i]} * (double{key[i]} + at(packed.keys, row * c.stride() + column));
    sum += same_segment ? 0.0 : double{query[i]} * at(packed.segments, row);
  }
  return sum;
}

void expect_relative(const Case& c) {
  const Packed packed(c);
  const std::int64_t rows = c.cumulative.back();
  const std::int64_t qkv_row = row_stride(3 * c.d());
  const auto qkv = values(rows * qkv_row, 11);
  std::vector<float> context(static_cast<std::size_t>(rows * row_stride(c.d())));
  const Attention attention(c.cumulative, c.first_texts, c.heads, c.d_head, 2);
  std::vector<float> scratch(static_cast<std::size_t>(attention.scratch_bytes()) / sizeof(float));
  Team team(2, {});
  team.run([&](const Worker& worker) {
    attention.work(qkv.data(), context.data(), scratch.data(), &packed.relative, worker);
  });
  for (std::size_t s = 0; s + 1 < c.cumulative.size(); ++s) {
    const std::int64_t tokens = c.cumulative[s + 1] - c.cumulative[s];
    const float* first = qkv.data() + c.cumulative[s] * qkv_row;
    for (std::int64_t head = 0; head < c.heads; ++head) {
      const std::int64_t column = head * c.d_head;
      for (std::int64_t i = 0; i < tokens; ++i) {
        double sum = 0.0;
        double mixed = 0.0;
        for (std::int64_t j = 0; j < tokens; ++j) {
          const bool same = (i < c.first_texts[s]) == (j < c.first_texts[s]);
          const float* key = first + j * qkv_row + c.d() + column;
          const double weight =
              std::exp(score(c, packed, first + i * qkv_row + column, key, head, i - j, same));
          sum += weight;
          mixed += weight * double{key[c.d()]};
        }
        const auto at =
            static_cast<std::size_t>((c.cumulative[s] + i) * row_stride(c.d()) + column);
        ASSERT_NEAR(context[at], mixed / sum, 2e-5)
            << "sequence " << s << ", head " << head << ", query " << i;
      }
    }
  }
}

TEST(RelativeAttention, IsTheFormulaOnEveryInstructionSet) {
  on_every_target([] {
    expect_relative({{0, 1, 28, 77, 78, 148}, {1, 27, 40, 0, 70}, 2, 16, 69});
    expect_relative({{0, 49, 50}, {1, 1}, 1, 5, 60});
    expect_relative({{0, 96}, {95}, 3, 7, 95});
    expect_relative({{0, 16, 48}, {8, 16}, 1, 64, 511});
  });
}

TEST(RelativeAttention, IsTheFormulaWhereverTheSegmentsMeet) {
  for (std::int64_t first = 0; first <= 101; ++first) {
    expect_relative({{0, 101}, {first}, 1, 4, 100});
  }
}

// Position scores are made for some keys at a time.
TEST(RelativeAttention, IsTheFormulaForMoreKeysThanAreScoredAtATime) {
  on_every_target([] { expect_relative({{0, 1100}, {1000}, 1, 3, 1099}); });
}

}  // namespace
}  // namespace deformer
