// A kernel, so that the skeleton holds machine code; to be replaced by real ones.
#include <cuda_runtime.h>

#include <cstdint>

namespace deformer::cuda {

__global__ void fill_words(std::uint32_t* out, std::uint32_t value, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) {
    out[i] = value;
  }
}

void fill(std::uint32_t* out, std::uint32_t value, std::int64_t count, cudaStream_t stream) {
  constexpr unsigned kThreads = 256;
  fill_words<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      out, value, count);
}

}  // namespace deformer::cuda
