#pragma once
/// The products of a model: by cuBLASLt; those that end in erf GELU by cuDNN, where that is quicker
/// than cuBLASLt and a kernel of ours.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "backends/cuda/cudnn_product.hpp"
#include "backends/cuda/device.hpp"
#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/lt_matmul.hpp"

namespace deformer::cuda {

class ProductEngine {
 public:
  /// Both outlive this.
  ProductEngine(AlgorithmMemory& memory, const Device& device)
      : memory_(memory), device_(device), lt_(memory, device.cache_bytes) {}

  /// Whether this product, with erf GELU after its bias, is better asked for as one. Measured once,
  /// with operands of its own, and remembered; false where there is no memory for that
  /// or cuDNN fails.
  bool gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream);

  /// As LtMatmul's.
  void prepare(const ProductArgs& args, void* workspace, cudaStream_t stream);
  void run(const ProductArgs& args, void* workspace, cudaStream_t stream);

  /// "cuBLASLt 13.1.0", and cuDNN where it does some.
  std::string describe() const;

 private:
  std::shared_ptr<CudnnProduct> fused(const LtProblem& problem);
  bool measure(const LtProblem& problem, CudnnProduct& whole, void* workspace, cudaStream_t stream,
               double& best_us);

  AlgorithmMemory& memory_;
  const Device& device_;
  LtMatmul lt_;
  std::map<std::string, std::shared_ptr<CudnnProduct>> fused_;
  std::string refusal_;  ///< how cuDNN failed, if it did
};

}  // namespace deformer::cuda
