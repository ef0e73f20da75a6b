#pragma once
/// Seeded numbers for tests.

#include <cstddef>
#include <random>
#include <vector>

namespace deformer::cuda {

/// Normal, around 0.
inline std::vector<float> noise(std::size_t count, float deviation, unsigned seed = 3) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(generator);
  }
  return values;
}

}  // namespace deformer::cuda
