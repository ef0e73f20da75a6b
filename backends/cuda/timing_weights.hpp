#pragma once
/// Weights to time a product with.

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/host/weight_copies.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// In a forward every layer has weights of its own, which come from the device's memory and not
/// from its L2. So a product of few rows, whose time is its weights', is timed with copies of them
/// that are together larger than the L2.
class TimingWeights {
 public:
  /// Copies args.weights, on `stream`. cache_bytes: the L2. @throws Unavailable without the memory.
  TimingWeights(const ProductArgs& args, std::int64_t cache_bytes, cudaStream_t stream);

  /// How many products in a row to time: one for each copy.
  int count() const;
  /// Of the number-th of them.
  const void* of(int number) const;

 private:
  const void* first_;
  WeightCopies places_;
  Memory copies_;
};

}  // namespace deformer::cuda
