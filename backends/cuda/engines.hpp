#pragma once
/// What of the device's libraries all sessions of a model share.

#include <memory>

#include "backends/cuda/attention_engine.hpp"
#include "backends/cuda/device.hpp"
#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/product_engine.hpp"

namespace deformer::cuda {

struct Engines {
  /// `store`: where choices are remembered; may be null. Left alone with kOwnKernels.
  explicit Engines(const MachineStore* store);

  Device device;
  AlgorithmMemory memory;
  ProductEngine products;
  AttentionEngine attention;
};

}  // namespace deformer::cuda
