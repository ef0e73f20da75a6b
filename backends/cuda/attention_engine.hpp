#pragma once
/// Attention of whole batches: by cuDNN where it can and is the quicker one, else by our kernel.
/// With kOwnKernels by the first form of ours.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/device.hpp"
#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/kernel_launch.hpp"

namespace deformer::cuda {

class AttentionEngine {
 public:
  /// Both outlive this.
  AttentionEngine(AlgorithmMemory& memory, const Device& device)
      : memory_(memory), device_(device) {}

  /// Makes ready what serves these arguments; times both ways on `stream` where there are two,
  /// leaving the context undefined. @throws Unavailable when nothing can.
  void prepare(const AttentionArgs& args, void* workspace, std::int64_t workspace_bytes,
               cudaStream_t stream);

  /// Queues what was prepared. May be captured. Returns whether it was a kernel of ours.
  bool run(const AttentionArgs& args, void* workspace, const LaunchPlace& place);

  /// "cuDNN 9.19.0", "own kernel (split)", or several, by what was chosen so far; and how cuDNN
  /// failed, if it did.
  std::string describe() const;

 private:
  struct Choice {
    std::shared_ptr<CudnnAttention> cudnn = nullptr;  ///< null: our kernel
    AttentionForm form = AttentionForm::tall;         ///< of our kernel
    bool formed = false;                              ///< it had several
  };

  /// The forms of our kernel that serve these arguments, at least one, their code on the device.
  std::vector<AttentionForm> prepared_forms(AttentionArgs args, cudaStream_t stream) const;

  /// The quickest of what cuDNN has, if anything, and of our forms; left in `choice`. From graphs
  /// of several in a row, so that whatever else cuDNN queues (it clears memory first) counts too.
  Algorithm quickest(AttentionArgs args, const std::vector<AttentionForm>& forms, Choice& choice,
                     void* workspace, cudaStream_t stream) const;

  /// With kOwnKernels: each form once, one behind the other, for the tools that watch.
  void run_each(AttentionArgs args, const std::vector<AttentionForm>& forms,
                cudaStream_t stream) const;

  /// cuDNN's, having run once; null where it has none or that failed.
  std::shared_ptr<CudnnAttention> tried(const AttentionArgs& args, void* workspace,
                                        std::int64_t workspace_bytes, cudaStream_t stream);

  AlgorithmMemory& memory_;
  const Device& device_;
  std::map<std::string, Choice> choices_;
  std::string refusal_;
};

}  // namespace deformer::cuda
