#pragma once
/// Who adds the residual: the product whose result is added (beta 1 in cuBLASLt), or the norm
/// behind it, to which the product then leaves rows of its own. Memory is read and written as often
/// either way; which product has the better algorithm differs. Measured once and remembered.

#include <cuda_runtime_api.h>

#include <map>
#include <string>

#include "backends/cuda/device.hpp"
#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/product_engine.hpp"

namespace deformer::cuda {

class ResidualChoice {
 public:
  /// All outlive this.
  ResidualChoice(AlgorithmMemory& memory, ProductEngine& products, const Device& device)
      : memory_(memory), products_(products), device_(device) {}

  /// Whether this product, asked for onto what is there, and a norm are quicker when the norm adds.
  /// The same answer for the life of this object; false where there is no memory to find out.
  /// `workspace`: kLtWorkspaceBytes.
  bool norm_pays(const LtProblem& onto, void* workspace, cudaStream_t stream);

 private:
  bool measure(const LtProblem& onto, void* workspace, cudaStream_t stream, double& best_us);

  AlgorithmMemory& memory_;
  ProductEngine& products_;
  const Device& device_;
  std::map<std::string, bool> answers_;
};

}  // namespace deformer::cuda
