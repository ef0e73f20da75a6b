#include "model/relative_positions.hpp"

#include <cmath>

namespace deformer {

void relative_position(std::int64_t distance, std::span<float> out) {
  const std::size_t width = out.size();
  const std::size_t sines = (width + 1) / 2;
  for (std::size_t i = 0; i < sines; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(width);
    const float angle = static_cast<float>(distance) * (1.0F / std::pow(10000.0F, exponent));
    out[i] = std::sin(angle);
    if (sines + i < width) {
      out[sines + i] = std::cos(angle);
    }
  }
}

}  // namespace deformer
