#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "backends/reference/elementwise.hpp"
#include "backends/reference/linear.hpp"

namespace deformer::reference {
namespace {

std::vector<double> random_values(std::int64_t count, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    value = normal(engine);
  }
  return values;
}

double at(const std::vector<double>& values, std::int64_t index) {
  return values[static_cast<std::size_t>(index)];
}

struct Sizes {
  std::int64_t m, n, k;
};

constexpr std::array kOddShapes = {Sizes{1, 1, 1},  Sizes{1, 7, 3},    Sizes{5, 1, 9},
                                   Sizes{3, 17, 1}, Sizes{13, 31, 45}, Sizes{67, 5, 129}};

TEST(ReferenceLinear, ProductsAgreeWithNaiveLoopsOnOddShapesInsideLargerMatrices) {
  for (const auto [m, n, k] : kOddShapes) {
    const std::int64_t pad = 3;
    const auto a = random_values(m * (k + pad), 1);
    const auto b = random_values(n * (k + pad), 2);
    const auto b_plain = random_values(k * (n + pad), 3);
    std::vector<double> transposed(static_cast<std::size_t>(m * (n + pad)), 99.0);
    std::vector<double> plain = transposed;
    multiply_transposed(0.5, {a.data(), m, k, k + pad}, {b.data(), n, k, k + pad},
                        {transposed.data(), m, n, n + pad});
    multiply({a.data(), m, k, k + pad}, {b_plain.data(), k, n, n + pad},
             {plain.data(), m, n, n + pad});
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double expected_transposed = 0.0;
        double expected_plain = 0.0;
        for (std::int64_t l = 0; l < k; ++l) {
          expected_transposed += 0.5 * at(a, i * (k + pad) + l) * at(b, j * (k + pad) + l);
          expected_plain += at(a, i * (k + pad) + l) * at(b_plain, l * (n + pad) + j);
        }
        EXPECT_NEAR(at(transposed, i * (n + pad) + j), expected_transposed, 1e-12);
        EXPECT_NEAR(at(plain, i * (n + pad) + j), expected_plain, 1e-12);
      }
      for (std::int64_t j = n; j < n + pad; ++j) {
        EXPECT_EQ(at(transposed, i * (n + pad) + j), 99.0) << "wrote beyond its columns";
        EXPECT_EQ(at(plain, i * (n + pad) + j), 99.0) << "wrote beyond its columns";
      }
    }
  }
}

TEST(ReferenceLinear, DenseMultipliesByTheTransposedWeightAndAddsTheBias) {
  for (const auto [rows, out, in] : kOddShapes) {
    const auto x = random_values(rows * in, 4);
    const auto weight = random_values(out * in, 5);
    const auto bias = random_values(out, 6);
    std::vector<double> y(static_cast<std::size_t>(rows * out));
    dense(x, rows, weight, bias, y);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < out; ++j) {
        double expected = at(bias, j);
        for (std::int64_t l = 0; l < in; ++l) {
          expected += at(x, i * in + l) * at(weight, j * in + l);
        }
        EXPECT_NEAR(at(y, i * out + j), expected, 1e-12);
      }
    }
  }
}

TEST(ReferenceElementwise, GeluTakesItsTabulatedValuesInBothForms) {
  // x Phi(x) with Phi(1) = 0.841344746068543, Phi(-2) = 0.022750131948179 (normal tables); the tanh
  // form evaluated with 30 digits.
  std::array<double, 3> erf_form = {1.0, -2.0, 0.0};
  apply_gelu(Activation::gelu_erf, erf_form);
  EXPECT_NEAR(erf_form[0], 0.841344746068543, 1e-14);
  EXPECT_NEAR(erf_form[1], -0.045500263896358, 1e-14);
  EXPECT_EQ(erf_form[2], 0.0);
  std::array<double, 2> tanh_form = {1.0, -2.0};
  apply_gelu(Activation::gelu_tanh, tanh_form);
  EXPECT_NEAR(tanh_form[0], 0.841191990608277, 1e-14);
  EXPECT_NEAR(tanh_form[1], -0.045402305912225, 1e-14);
}

TEST(ReferenceElementwise, SoftmaxOfHugeScoresStaysFiniteAndSumsToOne) {
  std::array<double, 3> row = {5000.0, 5001.0, -5000.0};
  softmax(row);
  EXPECT_NEAR(row[0], 1.0 / (1.0 + std::exp(1.0)), 1e-15);
  EXPECT_NEAR(row[0] + row[1] + row[2], 1.0, 1e-15);
}

TEST(ReferenceElementwise, LayerNormHasNoCancellationFarFromZero) {
  // Mean 1e8 and deviation 1: the one-pass variance would have lost it.
  std::array<double, 2> row = {1e8 - 1.0, 1e8 + 1.0};
  const std::array<double, 2> weight = {2.0, 3.0};
  const std::array<double, 2> bias = {0.5, 0.25};
  layer_norm(row, weight, bias, 1e-12);
  EXPECT_NEAR(row[0], -2.0 + 0.5, 1e-9);
  EXPECT_NEAR(row[1], 3.0 + 0.25, 1e-9);
}

TEST(ReferenceElementwise, LayerNormAddsEpsToTheVariance) {
  std::array<double, 2> row = {-1.0, 1.0};
  const std::array<double, 2> weight = {1.0, 1.0};
  const std::array<double, 2> bias = {0.0, 0.0};
  layer_norm(row, weight, bias, 3.0);
  EXPECT_NEAR(row[1], 0.5, 1e-15);
}

}  // namespace
}  // namespace deformer::reference
