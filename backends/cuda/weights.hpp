#pragma once
/// A model's weights on the device: one block, packed once.

#include <cstdint>

#include "backends/cuda/host/weight_places.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

struct DeviceWeights {
  /// @throws Unavailable when the device has too little memory; what the source throws.
  DeviceWeights(const WeightSource& source, const LoadOptions& options);

  ModelConfig config;
  Numbers numbers;
  WeightPlaces places;
  Memory block;
};

}  // namespace deformer::cuda
