/// f32 attention by AMX against softmax attention in float64, beside the path without tiles.

#include "backends/cpu/attention_amx.hpp"
#include "backends/cpu/amx_f32.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/attention.hpp"
#include "backends/cpu/linear.hpp"

namespace deformer {
namespace {

struct Case {
  std::vector<std::int64_t> cumulative;
  std::int64_t heads;
  std::int64_t d_head;

  std::int64_t d() const { return heads * d_head; }
  std::int64_t rows() const { return cumulative.back(); }
};

/// Rows of queries, keys and values: 3 d normal numbers of each row, times `scale`.
class Qkv {
 public:
  Qkv(const Case& c, float scale)
      : stride_(row_stride(3 * c.d())), numbers_(static_cast<std::size_t>(c.rows() * stride_)) {
    std::mt19937 engine(3);
    std::normal_distribution<float> normal(0.0F, scale);
    std::ranges::generate(numbers_, [&] { return normal(engine); });
  }
  float& at(std::int64_t row, std::int64_t column) {
    return numbers_[static_cast<std::size_t>(row * stride_ + column)];
  }
  double at(std::int64_t row, std::int64_t column) const {
    return numbers_[static_cast<std::size_t>(row * stride_ + column)];
  }
  const float* data() const { return numbers_.data(); }

 private:
  std::int64_t stride_;
  std::vector<float> numbers_;
};

/// Rows of d contexts, row_stride(d) apart, as a session asks for them.
std::vector<float> attend(const Case& c, const Qkv& qkv, bool allow_amx, int threads) {
  amx_f32::allow(allow_amx);
  const Attention attention(c.cumulative, {}, c.heads, c.d_head, threads);
  std::vector<float> context(static_cast<std::size_t>(c.rows() * row_stride(c.d())));
  std::vector<float> scratch(static_cast<std::size_t>(attention.scratch_bytes()) / sizeof(float),
                             std::numeric_limits<float>::quiet_NaN());
  Team team(threads, {});
  team.run([&](const Worker& worker) {
    attention.work(qkv.data(), context.data(), scratch.data(), nullptr, worker);
  });
  amx_f32::allow(true);
  return context;
}

/// The same by tiles whatever the sequences' lengths.
std::vector<float> attend_by_tiles(const Case& c, const Qkv& qkv) {
  constexpr std::size_t kGuard = 16;
  std::vector<float> context(static_cast<std::size_t>(c.rows() * row_stride(c.d())), 99.0F);
  for (std::size_t s = 0; s + 1 < c.cumulative.size(); ++s) {
    attention::HeadArgs args;
    args.stride = row_stride(3 * c.d());
    args.apart = c.d();
    args.tokens = c.cumulative[s + 1] - c.cumulative[s];
    args.d_head = c.d_head;
    args.count = args.tokens;
    args.context_stride = row_stride(c.d());
    const auto floats =
        static_cast<std::size_t>(attention::amx_scratch_bytes(args.tokens, c.d_head)) / 4;
    for (std::int64_t head = 0; head < c.heads; ++head) {
      std::vector<float> scratch(floats + kGuard, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(scratch.end() - kGuard, kGuard, 7.0F);
      args.queries = qkv.data() + c.cumulative[s] * args.stride + head * c.d_head;
      args.context = context.data() + c.cumulative[s] * args.context_stride + head * c.d_head;
      attention::attend_by_amx(args, reinterpret_cast<std::byte*>(scratch.data()));
      EXPECT_EQ(std::count(scratch.end() - kGuard, scratch.end(), 7.0F), kGuard);
    }
  }
  for (std::int64_t row = 0; row < c.rows(); ++row) {
    for (std::int64_t column = c.d(); column < row_stride(c.d()); ++column) {
      EXPECT_EQ(context[static_cast<std::size_t>(row * row_stride(c.d()) + column)], 99.0F);
    }
  }
  return context;
}

/// One row's context in all columns of a head, and the same of the values' magnitudes.
struct Mixed {
  std::vector<double> value;
  std::vector<double> magnitude;
};

Mixed plain_attention(const Case& c, const Qkv& qkv, std::size_t sequence, std::int64_t query,
                      std::int64_t head) {
  const std::int64_t first = c.cumulative[sequence];
  const std::int64_t tokens = c.cumulative[sequence + 1] - first;
  const std::int64_t column = head * c.d_head;
  std::vector<double> weights(static_cast<std::size_t>(tokens), 0.0);
  for (std::int64_t key = 0; key < tokens; ++key) {
    for (std::int64_t i = column; i < column + c.d_head; ++i) {
      weights[static_cast<std::size_t>(key)] += qkv.at(query, i) * qkv.at(first + key, c.d() + i);
    }
  }
  const double most = *std::ranges::max_element(weights);
  Mixed mixed{std::vector<double>(static_cast<std::size_t>(c.d_head)),
              std::vector<double>(static_cast<std::size_t>(c.d_head))};
  double sum = 0.0;
  for (double& weight : weights) {
    weight = std::exp(weight - most);
    sum += weight;
  }
  for (std::int64_t key = 0; key < tokens; ++key) {
    const double weight = weights[static_cast<std::size_t>(key)] / sum;
    for (std::int64_t i = 0; i < c.d_head; ++i) {
      const double value = qkv.at(first + key, 2 * c.d() + column + i);
      mixed.value[static_cast<std::size_t>(i)] += weight * value;
      mixed.magnitude[static_cast<std::size_t>(i)] += weight * std::abs(value);
    }
  }
  return mixed;
}

/// Errors relative to what is summed.
struct Error {
  double worst = 0.0;
  double squares = 0.0;

  void add(double found, double expected, double magnitude) {
    const double error = std::abs(found - expected) / magnitude;
    worst = error <= worst ? worst : error;  // NaN too
    squares += error * error;
  }
};

/// Errors of all cases of a test: those of tiles may be half as large again as those of
/// multiply-adds, the worst and on average.
class Errors {
 public:
  void add(const Case& c, const Qkv& qkv) {
    const std::vector<float> tiles = attend_by_tiles(c, qkv);
    const std::vector<float> multiply_adds = attend(c, qkv, false, 2);
    for (std::size_t sequence = 0; sequence + 1 < c.cumulative.size(); ++sequence) {
      for (std::int64_t row = c.cumulative[sequence]; row < c.cumulative[sequence + 1]; ++row) {
        for (std::int64_t head = 0; head < c.heads; ++head) {
          const Mixed expected = plain_attention(c, qkv, sequence, row, head);
          const auto first = static_cast<std::size_t>(row * row_stride(c.d()) + head * c.d_head);
          for (std::size_t i = 0; i < expected.value.size(); ++i) {
            tiles_.add(tiles[first + i], expected.value[i], expected.magnitude[i]);
            multiply_adds_.add(multiply_adds[first + i], expected.value[i], expected.magnitude[i]);
            ++count_;
          }
        }
      }
    }
  }

  void expect_as_small() const {
    constexpr double kHalfUlp = 0x1p-24;  // what the exact result has as well
    std::printf("worst error %.2g by tiles, %.2g by multiply-adds; on average %.2f times theirs\n",
                tiles_.worst, multiply_adds_.worst,
                std::sqrt(tiles_.squares / multiply_adds_.squares));
    EXPECT_LE(tiles_.worst, 1.5 * multiply_adds_.worst + kHalfUlp);
    EXPECT_LE(tiles_.squares, 1.5 * 1.5 * multiply_adds_.squares + kHalfUlp * kHalfUlp * count_);
  }

 private:
  Error tiles_;
  Error multiply_adds_;
  double count_ = 0;
};

class AmxAttention : public testing::Test {
 protected:
  void SetUp() override {
    if (!amx_f32::use()) {
      GTEST_SKIP() << "SKIPPED: this processor has no AMX";
    }
  }
};

TEST_F(AmxAttention, IsAsAccurateAsMultiplyAdds) {
  for (const Case& c : {Case{{0, 320}, 2, 64}, Case{{0, 128}, 2, 32}, Case{{0, 27}, 3, 64},
                        Case{{0, 513}, 1, 64}, Case{{0, 200}, 1, 128}}) {
    Errors errors;
    errors.add(c, Qkv(c, 0.6F));
    errors.expect_as_small();
  }
}

TEST_F(AmxAttention, IsAsAccurateForRaggedLengthsAndOddHeads) {
  Errors errors;
  for (const Case& c : {Case{{0, 1, 27, 28, 61, 148}, 2, 64}, Case{{0, 31, 63, 96, 121}, 3, 11},
                        Case{{0, 2, 5, 38}, 5, 9}, Case{{0, 33}, 4, 1}, Case{{0, 70, 167}, 1, 45},
                        Case{{0, 1}, 1, 64}, Case{{0, 49}, 1, 80}}) {
    errors.add(c, Qkv(c, 0.7F));
  }
  errors.expect_as_small();
}

TEST_F(AmxAttention, IsAsAccurateWhereScoresReach200) {
  for (const float scale : {3.0F, 5.0F}) {  // scores deviate by scale^2 sqrt(64)
    const Case c{{0, 17, 130}, 2, 64};
    Errors errors;
    errors.add(c, Qkv(c, scale));
    errors.expect_as_small();
  }
}

TEST_F(AmxAttention, IsAsAccurateWhereOneKeyDominates) {
  const Case c{{0, 100}, 1, 32};
  for (const float lead : {1.0F, 5.0F, 90.0F, 300.0F}) {
    Qkv qkv(c, 0.7F);
    for (std::int64_t row = 0; row < c.rows(); ++row) {
      qkv.at(row, 0) = 1.0F;
      qkv.at(row, c.d()) = row == 63 ? lead : -lead;
    }
    Errors errors;
    errors.add(c, qkv);
    errors.expect_as_small();
  }
}

TEST_F(AmxAttention, IsAsAccurateForTinyNumbers) {
  const Case c{{0, 65}, 2, 64};
  Errors errors;
  errors.add(c, Qkv(c, 1e-30F));
  errors.expect_as_small();
}

TEST_F(AmxAttention, ANanOfOneKeyOrValueReachesEveryQueryOfItsSequenceAndNoOther) {
  const Case c{{0, 40, 75, 90}, 2, 32};
  for (const std::uint32_t bits : {0x7FC00000U, 0xFFFFFFFFU, 0x7F800001U}) {
    for (const int part : {1, 2}) {
      Qkv qkv(c, 0.7F);
      qkv.at(60, part * c.d() + 5) = std::bit_cast<float>(bits);  // head 0
      const std::vector<float> context = attend_by_tiles(c, qkv);
      for (std::int64_t row = 0; row < c.rows(); ++row) {
        for (std::int64_t column = 0; column < c.d(); ++column) {
          const bool reached = row >= 40 && row < 75 && (part == 1 ? column < 32 : column == 5);
          const float found = context[static_cast<std::size_t>(row * row_stride(c.d()) + column)];
          ASSERT_EQ(std::isnan(found), reached) << part << ": " << row << ", " << column;
        }
      }
    }
  }
}

TEST_F(AmxAttention, BitsAreTheSameForAnyNumberOfWorkersAndInAnyBatch) {
  const Case batch{{0, 45, 365, 392}, 2, 64};
  const Qkv qkv(batch, 0.7F);
  const std::vector<float> expected = attend(batch, qkv, true, 1);
  for (const int threads : {2, 3, 16}) {
    EXPECT_EQ(attend(batch, qkv, true, threads), expected) << threads;
  }
  const Case alone{{0, 320}, 2, 64};
  Qkv rows(alone, 1.0F);
  for (std::int64_t row = 0; row < alone.rows(); ++row) {
    for (std::int64_t column = 0; column < 3 * alone.d(); ++column) {
      rows.at(row, column) = static_cast<float>(qkv.at(45 + row, column));
    }
  }
  const std::int64_t stride = row_stride(alone.d());
  const std::vector<float> found = attend(alone, rows, true, 16);
  for (std::int64_t row = 0; row < alone.rows(); ++row) {
    for (std::int64_t i = 0; i < alone.d(); ++i) {
      ASSERT_EQ(found[static_cast<std::size_t>(row * stride + i)],
                expected[static_cast<std::size_t>((45 + row) * stride + i)])
          << row << ", " << i;
    }
  }
}

}  // namespace
}  // namespace deformer
