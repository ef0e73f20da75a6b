#pragma once
/// Products by cuBLASLt. For each problem the library is asked for several algorithms, which are
/// timed once; the quickest is remembered (host/algorithm_memory.hpp). Descriptors are kept.

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// What cuBLASLt may use beside its operands: the size it recommends for Hopper.
inline constexpr std::int64_t kLtWorkspaceBytes = std::int64_t{32} << 20;

class LtMatmul {
 public:
  /// `memory` outlives this. cache_bytes: the device's L2. @throws Unavailable without the library.
  LtMatmul(AlgorithmMemory& memory, std::int64_t cache_bytes);
  ~LtMatmul();
  LtMatmul(const LtMatmul&) = delete;
  LtMatmul& operator=(const LtMatmul&) = delete;

  /// Makes the descriptors of this problem and chooses its algorithm: may time several on `stream`,
  /// with these operands, whose result is left undefined. `workspace`: kLtWorkspaceBytes.
  /// @throws Unavailable when the library has no algorithm for it.
  void prepare(const ProductArgs& args, void* workspace, cudaStream_t stream);

  /// Queues a product that was prepared. May be captured.
  void run(const ProductArgs& args, void* workspace, cudaStream_t stream);

 private:
  struct Prepared;

  Prepared& prepared(const LtProblem& problem);
  void choose(Prepared& entry, const ProductArgs& args, void* workspace, cudaStream_t stream);
  bool recall(Prepared& entry, const std::string& bucket) const;
  std::vector<cublasLtMatmulHeuristicResult_t> candidates(const Prepared& entry) const;
  void launch(Prepared& entry, const cublasLtMatmulAlgo_t& algorithm, const ProductArgs& args,
              void* workspace, cudaStream_t stream);

  AlgorithmMemory& memory_;
  std::int64_t cache_bytes_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<std::string, std::unique_ptr<Prepared>> prepared_;
};

}  // namespace deformer::cuda
