/// Products in reduced precision, with every set this processor has, against float64 of the numbers
/// they are made of: what is tested is arithmetic, not what narrowing loses.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/narrow_source.hpp"
#include "tests/backends/bf16_numbers.hpp"

namespace deformer {
namespace {

std::vector<float> noise(std::int64_t count, std::uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    value = normal(engine);
  }
  return values;
}

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// The factors of a product, f32.
struct Factors {
  std::vector<float> x, weights, bias;

  Factors(const LinearKind& kind, std::int64_t rows)
      : x(noise(rows * kind.in, 1)),
        weights(noise(kind.in * kind.out, 2)),
        bias(noise(kind.out, 3)) {
    for (float& weight : weights) {
      weight *= 0.05F;
    }
  }
};

/// What the quantised factors give, and what the terms of each result add up to, signs aside.
struct Expected {
  std::vector<double> y, terms;
};

/// Columns of weights as whole numbers of `scale`.
struct QuantisedColumn {
  std::vector<std::int64_t> weights;
  double scale;
};

QuantisedColumn quantise(const float* weights, std::int64_t in, int most) {
  float largest = 0;
  for (std::int64_t k = 0; k < in; ++k) {
    largest = std::max(largest, std::abs(weights[k]));
  }
  const float scale = largest / static_cast<float>(most);
  QuantisedColumn column{{}, scale};
  for (std::int64_t k = 0; k < in; ++k) {
    column.weights.push_back(std::lrint(weights[k] / scale));
    EXPECT_LE(std::abs(column.weights.back()), most);
  }
  return column;
}

Expected expect_bf16(const LinearKind& kind, const NarrowSource& source, std::int64_t rows,
                     const Factors& factors) {
  std::vector<float> weights(factors.weights.size());
  std::ranges::transform(factors.weights, weights.begin(),
                         [](float weight) { return to_nearest_bf16(weight); });
  Expected expected;
  std::vector<float> x(index(kind.in));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t k = 0; k < kind.in; ++k) {
      x[index(k)] = from_bf16(source.data() + row * source.row_bytes() + k * 2);
    }
    for (std::int64_t column = 0; column < kind.out; ++column) {
      double sum = factors.bias[index(column)];
      double terms = std::abs(sum);
      for (std::int64_t k = 0; k < kind.in; ++k) {
        const double product =
            static_cast<double>(x[index(k)]) * weights[index(column * kind.in + k)];
        sum += product;
        terms += std::abs(product);
      }
      expected.y.push_back(sum);
      expected.terms.push_back(terms);
    }
  }
  return expected;
}

Expected expect_int8(const LinearKind& kind, const NarrowSource& source, std::int64_t rows,
                     const Factors& factors, int most_weight) {
  std::vector<QuantisedColumn> columns;
  for (std::int64_t column = 0; column < kind.out; ++column) {
    columns.push_back(quantise(factors.weights.data() + column * kind.in, kind.in, most_weight));
  }
  Expected expected;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::byte* x = source.data() + row * source.row_bytes();
    const RowRange range = source.ranges()[row];
    for (std::int64_t column = 0; column < kind.out; ++column) {
      const QuantisedColumn& own = columns[index(column)];
      std::int64_t sum = 0;
      std::int64_t weights = 0;
      for (std::int64_t k = 0; k < kind.in; ++k) {
        sum += std::to_integer<std::int64_t>(x[k]) * own.weights[index(k)];
        weights += own.weights[index(k)];
      }
      const double product = static_cast<double>(sum) * range.step * own.scale;
      const double offset = static_cast<double>(weights) * range.lowest * own.scale;
      const double bias = factors.bias[index(column)];
      expected.y.push_back(product + offset + bias);
      expected.terms.push_back(std::abs(product) + std::abs(offset) + std::abs(bias));
    }
  }
  return expected;
}

double activated(Epilogue epilogue, double y) {
  switch (epilogue) {
    case Epilogue::bias_gelu_erf:
      return y * 0.5 * std::erfc(-y / std::sqrt(2.0));
    case Epilogue::bias_gelu_tanh:
      return 0.5 * y * (1 + std::tanh(0.7978845608028654 * (y + 0.044715 * y * y * y)));
    case Epilogue::bias:
    case Epilogue::residual:
      break;
  }
  return y;
}

/// A product of `rows` rows, its operands where the backend would have them.
class Product {
 public:
  Product(const LinearKind& kind, const NarrowTiles& set, std::int64_t rows, const Factors& factors)
      : kind_(kind),
        set_(set),
        rows_(rows),
        factors_(factors),
        source_(kind.dtype, rows, kind.in, plan_, 0, 0),
        engine_(make_narrow_engine(kind, set)),
        weights_(engine_->pack(
            [&](std::span<float> out) { std::ranges::copy(factors.weights, out.begin()); },
            [&](std::span<float> out) { std::ranges::copy(factors.bias, out.begin()); }, slab_)) {
    plan_.place();
    memory_ = AlignedBuffer(plan_.peak_bytes());
    source_.bind(memory_.data(), plan_);
    source_.fill_from_f32(0, rows, factors.x.data(), kind.in * 4);
  }

  /// Of a kind with float results.
  void expect_floats(int workers) const {
    const std::int64_t stride = row_stride(kind_.out);
    const AlignedBuffer result(rows_ * stride * 4);
    const auto before = noise(rows_ * stride, 4);
    std::ranges::copy(before, result.floats());
    LinearOperands operands;
    operands.result = result.floats();
    run(operands, workers);
    const Expected expected = this->expected();
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = 0; column < kind_.out; ++column) {
        const double base =
            kind_.epilogue == Epilogue::residual ? before[index(row * stride + column)] : 0.0;
        const std::size_t at = index(row * kind_.out + column);
        ASSERT_NEAR(result.floats()[row * stride + column], base + expected.y[at],
                    slack(expected.terms[at] + std::abs(base)))
            << where(workers) << row << ", " << column;
      }
    }
  }

  /// Of a kind with bf16 results, which next products read up to whole panels.
  void expect_bf16_rows(int workers) const {
    const std::int64_t row_bytes = narrow_row_bytes(kind_.out, 2);
    const AlignedBuffer result(rows_ * row_bytes);
    std::fill_n(result.data(), rows_ * row_bytes, std::byte{0x55});
    LinearOperands operands;
    operands.narrow_result = result.data();
    run(operands, workers);
    const Expected expected = this->expected();
    const double gelu_error = kind_.epilogue == Epilogue::bias ? 0.0 : 5e-5;
    const std::int64_t columns = (kind_.out + kNarrowColumns - 1) / kNarrowColumns * kNarrowColumns;
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        const float found = from_bf16(result.data() + row * row_bytes + column * 2);
        if (column >= kind_.out) {
          ASSERT_EQ(found, 0.0F) << where(workers) << "behind row " << row;
          continue;
        }
        const std::size_t at = index(row * kind_.out + column);
        const double y = activated(kind_.epilogue, expected.y[at]);
        const double error = gelu_error + 1.13 * slack(expected.terms[at]);
        ASSERT_GE(found, to_nearest_bf16(y - error)) << where(workers) << row << ", " << column;
        ASSERT_LE(found, to_nearest_bf16(y + error)) << where(workers) << row << ", " << column;
      }
    }
  }

  /// Of a kind with float results, added to zeros.
  std::vector<float> floats(int workers) const {
    const AlignedBuffer result(rows_ * row_stride(kind_.out) * 4);
    LinearOperands operands;
    operands.result = result.floats();
    run(operands, workers);
    return {result.floats(), result.floats() + rows_ * row_stride(kind_.out)};
  }

  std::string_view engine() const { return engine_->name(); }

 private:
  void run(LinearOperands operands, int workers) const {
    const auto linear = engine_->prepare(rows_);
    ASSERT_TRUE(linear->shared());
    operands.narrow_source = source_.data();
    operands.ranges = source_.ranges();
    linear->bind(operands);
    Team team(workers, {});
    team.run([&](const Worker& worker) { linear->work(*weights_, worker); });
  }
  Expected expected() const {
    return kind_.dtype == DType::bf16
               ? expect_bf16(kind_, source_, rows_, factors_)
               : expect_int8(kind_, source_, rows_, factors_, set_.most_weight);
  }
  /// What f32 may be off by: sums of bf16 products round at every addition, integers never, and
  /// then a few roundings for the scales.
  double slack(double terms) const {
    const auto roundings = static_cast<double>(kind_.dtype == DType::bf16 ? kind_.in : 0);
    return (roundings + 6) * 0x1p-24 * terms;
  }
  std::string where(int workers) const {
    return std::string(set_.isa) + ", [" + std::to_string(rows_) + "," + std::to_string(kind_.in) +
           "] x [" + std::to_string(kind_.in) + "," + std::to_string(kind_.out) + "], " +
           std::to_string(workers) + " workers: ";
  }

  LinearKind kind_;
  const NarrowTiles& set_;
  std::int64_t rows_;
  const Factors& factors_;
  ArenaPlan plan_;
  NarrowSource source_;
  AlignedBuffer memory_;
  Slab slab_;
  std::unique_ptr<LinearEngine> engine_;
  std::unique_ptr<LinearWeights> weights_;
};

void check(LinearKind kind, const NarrowTiles& set, std::int64_t rows, const Factors& factors,
           int workers) {
  kind.dtype = set.dtype;
  const Product product(kind, set, rows, factors);
  EXPECT_EQ(product.engine(), set.isa);
  kind.narrow_result ? product.expect_bf16_rows(workers) : product.expect_floats(workers);
}

template <typename Check>
void for_all_sets(const Check& check) {
  for (const DType dtype : {DType::bf16, DType::int8}) {
    for (const NarrowTiles& set : narrow_tiles(dtype)) {
      check(set);
    }
  }
}

constexpr LinearKind kKinds[] = {
    {.in = 70, .out = 50, .epilogue = Epilogue::bias},
    {.in = 96, .out = 33, .epilogue = Epilogue::bias, .narrow_result = true},
    {.in = 64, .out = 100, .epilogue = Epilogue::bias_gelu_erf, .narrow_result = true},
    {.in = 33, .out = 47, .epilogue = Epilogue::bias_gelu_tanh, .narrow_result = true},
    {.in = 128, .out = 81, .epilogue = Epilogue::residual},
};

// Few rows are one job a panel, many are blocks side by side: workers may be more than blocks.
TEST(NarrowLinear, ProductsOfEveryKindAreThoseOfFloat64) {
  for (const LinearKind& kind : kKinds) {
    int workers = 1;
    for (const std::int64_t rows : {1, 27, 33, 320, 321, 700}) {
      const Factors factors(kind, rows);
      for_all_sets([&](const NarrowTiles& set) {
        check(kind, set, rows, factors, workers);
        workers = workers % 4 + 1;
      });
    }
  }
}

TEST(NarrowLinear, InnerDimensionsOfSeveralPassesAreAddedUp) {
  for (const Epilogue epilogue : {Epilogue::bias, Epilogue::residual}) {
    const LinearKind kind{.in = 1600, .out = 40, .epilogue = epilogue};
    for (const std::int64_t rows : {1, 32, 90, 330}) {
      const Factors factors(kind, rows);
      for_all_sets([&](const NarrowTiles& set) { check(kind, set, rows, factors, 3); });
    }
  }
}

// Sums of floats depend on the order: parts of a sum that different workers add must not race.
TEST(NarrowLinear, ResultsAreTheSameToTheBitForAnyNumberOfWorkers) {
  const LinearKind kind{.in = 3072, .out = 64, .epilogue = Epilogue::residual};
  constexpr std::int64_t kRows = 192;
  const Factors factors(kind, kRows);
  for_all_sets([&](const NarrowTiles& set) {
    LinearKind narrow = kind;
    narrow.dtype = set.dtype;
    const Product product(narrow, set, kRows, factors);
    const std::vector<float> alone = product.floats(1);
    for (int workers = 2; workers <= 12; ++workers) {
      EXPECT_EQ(product.floats(workers), alone) << set.isa << ", " << workers << " workers";
    }
  });
}

// Blocks begin at whole tiles where rows are many, and the last one is what is left: in 8-bit
// products 2541 rows are eight blocks of at most the 320 whose sums there is room for.
TEST(NarrowLinear, ARowIsTheSameToTheBitHoweverManyComeBeforeIt) {
  const LinearKind kind{.in = 1600, .out = 40, .epilogue = Epilogue::residual};
  constexpr std::int64_t kRows = 2541;
  constexpr std::int64_t kLast = 333;
  const Factors factors(kind, kRows);
  Factors last = factors;
  last.x.erase(last.x.begin(), last.x.end() - kLast * kind.in);
  for_all_sets([&](const NarrowTiles& set) {
    LinearKind narrow = kind;
    narrow.dtype = set.dtype;
    const std::vector<float> few = Product(narrow, set, kLast, last).floats(1);
    for (const int workers : {1, 2, 3}) {
      const std::vector<float> many = Product(narrow, set, kRows, factors).floats(workers);
      EXPECT_TRUE(std::equal(few.rbegin(), few.rend(), many.rbegin()))
          << set.isa << ", " << workers << " workers";
    }
  });
}

TEST(NarrowLinear, MoreWorkersThanPanelsAreNoHarm) {
  const LinearKind kind{.in = 40, .out = 20, .epilogue = Epilogue::bias};
  const Factors factors(kind, 50);
  for_all_sets([&](const NarrowTiles& set) { check(kind, set, 50, factors, 4); });
}

// Rows of both ends of their range, columns of both ends of theirs: every product is the largest
// there is, and pairs of them are what 16 bits saturate at.
TEST(NarrowLinear, ExtremeRowsAndWeightsAreExact) {
  const LinearKind kind{.in = 1024, .out = 64, .epilogue = Epilogue::bias};
  Factors factors(kind, 33);
  for (std::int64_t row = 0; row < 33; ++row) {
    for (std::int64_t k = 0; k < kind.in; ++k) {
      // One zero, so that the rest is 255.
      factors.x[index(row * kind.in + k)] = k == row ? 0.0F : 127.0F;
    }
  }
  for (std::int64_t column = 0; column < kind.out; ++column) {
    for (std::int64_t k = 0; k < kind.in; ++k) {
      const float sign = column % 3 == 0   ? 1.0F
                         : column % 3 == 1 ? -1.0F
                         : k % 2 == 0      ? 1.0F
                                           : -1.0F;
      factors.weights[index(column * kind.in + k)] = sign * 128.0F;
    }
  }
  std::ranges::fill(factors.bias, 0.0F);
  for_all_sets([&](const NarrowTiles& set) { check(kind, set, 33, factors, 2); });
}

TEST(NarrowLinear, AColumnOfZerosGivesItsBias) {
  const LinearKind kind{.in = 64, .out = 32, .epilogue = Epilogue::bias, .dtype = DType::int8};
  Factors factors(kind, 5);
  std::fill_n(factors.weights.begin() + 7 * kind.in, kind.in, 0.0F);
  for (const NarrowTiles& set : narrow_tiles(DType::int8)) {
    Slab slab;
    const auto engine = make_narrow_engine(kind, set);
    const auto weights = engine->pack(
        [&](std::span<float> out) { std::ranges::copy(factors.weights, out.begin()); },
        [&](std::span<float> out) { std::ranges::copy(factors.bias, out.begin()); }, slab);
    ArenaPlan plan;
    NarrowSource source(DType::int8, 5, kind.in, plan, 0, 0);
    plan.place();
    const AlignedBuffer memory(plan.peak_bytes());
    source.bind(memory.data(), plan);
    source.fill_from_f32(0, 5, factors.x.data(), kind.in * 4);
    const AlignedBuffer result(5 * row_stride(kind.out) * 4);
    const auto linear = engine->prepare(5);
    LinearOperands operands;
    operands.narrow_source = source.data();
    operands.ranges = source.ranges();
    operands.result = result.floats();
    linear->bind(operands);
    Team team(1, {});
    team.run([&](const Worker& worker) { linear->work(*weights, worker); });
    for (std::int64_t row = 0; row < 5; ++row) {
      EXPECT_EQ(result.floats()[row * row_stride(kind.out) + 7], factors.bias[7]) << set.isa;
    }
  }
}

TEST(NarrowLinear, KindsThatDoNotExistAreRefused) {
  for_all_sets([](const NarrowTiles& set) {
    LinearKind kind{.in = 64, .out = 64, .epilogue = Epilogue::bias_gelu_erf, .dtype = set.dtype};
    EXPECT_THROW(make_narrow_engine(kind, set), std::logic_error) << "GELU in f32";
    kind = {.in = 64,
            .out = 64,
            .epilogue = Epilogue::residual,
            .dtype = set.dtype,
            .narrow_result = true};
    EXPECT_THROW(make_narrow_engine(kind, set), std::logic_error) << "a residual in bf16";
    kind = {.in = 64, .out = 64, .epilogue = Epilogue::bias, .dtype = DType::f32};
    EXPECT_THROW(make_narrow_engine(kind, set), std::logic_error) << "another dtype";
  });
}

}  // namespace
}  // namespace deformer
