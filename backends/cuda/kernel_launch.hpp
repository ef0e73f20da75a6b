#pragma once
/// Our kernels, queued on a stream. `early`: the kernel may be set up while the one before it on
/// the stream still runs (programmatic dependent launch); every kernel waits for that one's results
/// before it reads or writes anything but constants of the model. `load_only`: nothing is queued,
/// the kernel's code is brought to the device, which must not happen while a stream is being
/// captured.

#include <cuda_runtime_api.h>

#include "backends/cuda/kernels/args.hpp"

namespace deformer::cuda {

struct SkinnyArgs;

struct LaunchPlace {
  cudaStream_t stream;
  bool early = false;
  bool load_only = false;
};

void launch_kernel(const EmbedArgs& args, const LaunchPlace& place);
void launch_kernel(const NormArgs& args, const LaunchPlace& place);
void launch_kernel(const GeluArgs& args, const LaunchPlace& place);
void launch_kernel(const QuantiseArgs& args, const LaunchPlace& place);
void launch_kernel(const DecodeArgs& args, const LaunchPlace& place);
void launch_kernel(const JoinArgs& args, const LaunchPlace& place);
void launch_kernel(const WidenArgs& args, const LaunchPlace& place);
void launch_kernel(const DenseArgs& args, const LaunchPlace& place);
void launch_kernel(const AttentionArgs& args, const LaunchPlace& place);
void launch_kernel(const SkinnyArgs& args, const LaunchPlace& place);

/// Whether attention has a kernel of that form for these arguments; of `tall` always.
bool has_form(const AttentionArgs& args, AttentionForm form);

/// Allows the attention kernel these arguments need its shared memory: once, before any capture.
/// @throws Unavailable when the device has less.
void prepare_attention_kernel(const AttentionArgs& args, std::int64_t shared_bytes_block);
/// The same of products of few rows. Whether the device has the shared memory.
bool prepare_skinny_kernel(const SkinnyArgs& args, std::int64_t shared_bytes_block);

}  // namespace deformer::cuda
