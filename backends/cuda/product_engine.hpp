#pragma once
/// The products of a model: by cuBLASLt; those that end in erf GELU by CUTLASS or cuDNN, where that
/// is quicker than cuBLASLt and a kernel of ours.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cudnn_product.hpp"
#include "backends/cuda/cutlass_product.hpp"
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
  /// or none can be made as one.
  bool gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream);

  /// As LtMatmul's.
  void prepare(const ProductArgs& args, void* workspace, cudaStream_t stream);
  /// Queues a product that was prepared. May be captured. place.early: where it can start early.
  void run(const ProductArgs& args, void* workspace, const LaunchPlace& place);

  /// "cuBLASLt 13.1.0", what else does some, and how that failed, if it did.
  std::string describe() const;

 private:
  /// What makes a product with erf GELU in one: a tile, or else a plan of cuDNN's, or neither.
  struct Whole {
    const CutlassTile* tile = nullptr;
    std::shared_ptr<CudnnProduct> cudnn;

    explicit operator bool() const { return tile != nullptr || cudnn != nullptr; }
  };

  Whole recall(const LtProblem& problem, const Algorithm& known, void* workspace,
               cudaStream_t stream);
  Whole choose(const LtProblem& problem, const std::string& bucket, void* workspace,
               cudaStream_t stream);
  std::vector<Whole> candidates(const LtProblem& problem);
  static void queue(const Whole& whole, const ProductArgs& args, void* workspace,
                    const LaunchPlace& place);
  const Whole& chosen(const LtProblem& problem) const;

  AlgorithmMemory& memory_;
  const Device& device_;
  LtMatmul lt_;
  std::map<std::string, Whole> wholes_;  ///< what was chosen, by problem
  std::string refusal_;                  ///< how one failed, if it did
};

}  // namespace deformer::cuda
