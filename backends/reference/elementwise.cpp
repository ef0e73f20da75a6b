#include "backends/reference/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace deformer::reference {
namespace {

double gelu_erf(double x) {
  return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
}

double gelu_tanh(double x) {
  const double slope = std::sqrt(2.0 * std::numbers::inv_pi);
  return 0.5 * x * (1.0 + std::tanh(slope * (x + 0.044715 * x * x * x)));
}

}  // namespace

void apply_gelu(Activation activation, std::span<double> values) {
  const auto gelu = activation == Activation::gelu_erf ? gelu_erf : gelu_tanh;
  std::ranges::transform(values, values.begin(), gelu);
}

void layer_norm(std::span<double> row, std::span<const double> weight, std::span<const double> bias,
                double eps) {
  const auto size = static_cast<double>(row.size());
  double mean = 0.0;
  for (const double value : row) {
    mean += value;
  }
  mean /= size;
  double variance = 0.0;
  for (const double value : row) {
    variance += (value - mean) * (value - mean);
  }
  const double scale = 1.0 / std::sqrt(variance / size + eps);
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
  }
}

void softmax(std::span<double> row) {
  const double largest = std::ranges::max(row);
  double sum = 0.0;
  for (double& value : row) {
    value = std::exp(value - largest);
    sum += value;
  }
  for (double& value : row) {
    value /= sum;
  }
}

}  // namespace deformer::reference
