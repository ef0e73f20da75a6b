#pragma once
/// The products of a model: by cuBLASLt, or by another where that is quicker. Those that end in
/// erf GELU, which cuBLASLt does not have, CUTLASS and cuDNN do as one; those of few rows in bf16
/// CUTLASS does too, and those of up to 64 rows a kernel of ours (kernels/skinny.cuh). What is
/// quicker is measured once for each bucket of rows and remembered; of what leaves
/// cuBLASLt's results alone (host/product_check.hpp), of which others in its bucket are taken to be
/// good as well. With kOwnKernels nothing is measured (unmeasured_route).

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cuda/cudnn_product.hpp"
#include "backends/cuda/cutlass_product.hpp"
#include "backends/cuda/device.hpp"
#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/host/kernel_choice.hpp"
#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/lt_matmul.hpp"

namespace deformer::cuda {

class ProductEngine {
 public:
  /// Both outlive this.
  ProductEngine(AlgorithmMemory& memory, const Device& device)
      : memory_(memory), device_(device), lt_(memory, device.cache_bytes) {}

  /// Whether this product, with erf GELU after its bias, is better asked for as one. Measured once,
  /// with operands of its own, and remembered; false where there is no memory for that
  /// or nothing does both at once.
  bool gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream);

  /// As LtMatmul's.
  void prepare(const ProductArgs& args, void* workspace, cudaStream_t stream);
  void run(const ProductArgs& args, void* workspace, const LaunchPlace& place);

  /// "cuBLASLt 13.1.0", and what else does some.
  std::string describe() const;

 private:
  /// Of a product with erf GELU, `lt` means: not as one.
  struct Choice {
    Route route = Route::lt;
    const CutlassTile* tile = nullptr;    ///< of `cutlass`
    std::shared_ptr<CudnnProduct> cudnn;  ///< of `cudnn`
  };

  const Choice& choice_of(const LtProblem& problem, void* workspace, cudaStream_t stream);
  Choice find_choice(const LtProblem& problem, void* workspace, cudaStream_t stream);
  std::vector<Choice> candidates(const LtProblem& problem, bool skinny, bool cudnn);
  static std::optional<Choice> recalled(const KernelChoice& known,
                                        const std::vector<Choice>& candidates);
  Choice measure(const LtProblem& problem, const std::vector<Choice>& candidates, void* workspace,
                 cudaStream_t stream, double& best_us);
  Choice quickest(const std::vector<Choice>& candidates,
                  const std::function<double(const Choice&)>& us_of, double& best_us);
  static std::string name_of(const Choice& choice);
  /// With a route other than cuBLASLt's. @throws std::runtime_error where it is refused.
  void queue(const Choice& choice, const ProductArgs& args, void* workspace,
             const LaunchPlace& place) const;
  std::string chosen_tiles() const;
  std::optional<SkinnyArgs> skinny(const ProductArgs& args) const;
  bool skinny_fits(const LtProblem& problem) const;

  AlgorithmMemory& memory_;
  const Device& device_;
  LtMatmul lt_;
  std::map<std::string, Choice> choices_;
  std::string refusal_;  ///< how another route than cuBLASLt failed, if one did
};

}  // namespace deformer::cuda
