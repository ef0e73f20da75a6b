#pragma once
/// cuDNN's fused attention, through the header-only graph API. cuDNN itself is opened when the
/// first attention is prepared, and everything works without it.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

#include "backends/cuda/kernels/args.hpp"

namespace deformer::cuda {

class CudnnAttention {
 public:
  virtual ~CudnnAttention() = default;
  CudnnAttention() = default;
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  /// Null where cuDNN, this build or this device can't serve them: relative positions, f32, heads
  /// that are no multiple of 8, no library. `capability` as Device has it. Sequences of different
  /// lengths are read in place, by their offsets.
  static std::shared_ptr<CudnnAttention> make(const AttentionArgs& args, int capability,
                                              std::int64_t workspace_bytes);
  /// What is wrong with how it is described to cuDNN, found without a device; empty when nothing.
  static std::string check_description(const AttentionArgs& args, int capability);
  /// "cuDNN 9.19.0", or why there is none. Opens it.
  static std::string describe();

  /// Queues it; may be captured.
  virtual void run(const AttentionArgs& args, void* workspace, cudaStream_t stream) = 0;
};

}  // namespace deformer::cuda
