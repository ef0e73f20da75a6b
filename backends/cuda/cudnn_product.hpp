#pragma once
/// A product with bias and erf GELU as one kernel, made by cuDNN for its shape: cuBLASLt knows the
/// tanh form alone, and a kernel of ours after it reads and writes the widest rows of a layer once
/// more (at 12 288 rows of bert-large a seventh of the layer's time, by their bytes).

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

#include "backends/cuda/host/lt_problem.hpp"

namespace deformer::cuda {

class CudnnProduct {
 public:
  virtual ~CudnnProduct() = default;
  CudnnProduct() = default;
  CudnnProduct(const CudnnProduct&) = delete;
  CudnnProduct& operator=(const CudnnProduct&) = delete;

  /// `problem` finishes with bias_gelu_erf. Null where cuDNN, this build or this device can't serve
  /// it: only bf16 and f16, and no residual.
  static std::shared_ptr<CudnnProduct> make(const LtProblem& problem, int capability,
                                            std::int64_t workspace_bytes);
  /// What is wrong with how it is described to cuDNN, found without a device; empty when nothing.
  static std::string check_description(const LtProblem& problem, int capability);

  /// Queues it; may be captured.
  virtual void run(const ProductArgs& args, void* workspace, cudaStream_t stream) = 0;
};

}  // namespace deformer::cuda
