#include "backends/cuda/host/fp8_scales.hpp"

#include <algorithm>
#include <cmath>

namespace deformer::cuda {

float scale_for(double bound) {
  return bound > 0 ? static_cast<float>(bound / static_cast<double>(kLargestE4m3)) : 1.0F;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (const float value : values) {
    most = std::max(most, std::abs(static_cast<double>(value)));
  }
  return most;
}

double RowBound::value() const {
  if (norm_weight.empty()) {
    return largest;
  }
  const double length = std::sqrt(static_cast<double>(norm_weight.size()));
  double most = 0;
  for (std::size_t i = 0; i < norm_weight.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(norm_weight[i])) * length +
                              std::abs(static_cast<double>(norm_bias[i])));
  }
  return most;
}

double RowBound::product(std::span<const float> weight, std::span<const float> bias) const {
  const std::size_t outputs = bias.size();
  const std::size_t d = weight.size() / outputs;
  double most = 0;
  for (std::size_t output = 0; output < outputs; ++output) {
    const std::span<const float> row = weight.subspan(output * d, d);
    double squares = 0;
    double offset = static_cast<double>(bias[output]);
    for (std::size_t i = 0; i < d; ++i) {
      const double w = static_cast<double>(row[i]);
      const double factor = norm_weight.empty() ? 1.0 : static_cast<double>(norm_weight[i]);
      squares += w * factor * w * factor;
      offset += norm_bias.empty() ? 0.0 : w * static_cast<double>(norm_bias[i]);
    }
    const double length =
        norm_weight.empty() ? row_length : std::sqrt(static_cast<double>(norm_weight.size()));
    most = std::max(most, std::sqrt(squares) * length + std::abs(offset));
  }
  return most;
}

}  // namespace deformer::cuda
