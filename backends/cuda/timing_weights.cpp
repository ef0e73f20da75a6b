#include "backends/cuda/timing_weights.hpp"

#include <algorithm>

#include "backends/cuda/stopwatch.hpp"

namespace deformer::cuda {
namespace {

/// Rows from which on a product's time is its arithmetic's, wherever its weights come from.
constexpr std::int64_t kManyRows = 4096;
constexpr std::int64_t kMostCopies = 64;

}  // namespace

TimingWeights::TimingWeights(const ProductArgs& args, std::int64_t cache_bytes, cudaStream_t stream)
    : first_(args.weights), bytes_(args.problem.a.bytes()) {
  if (args.problem.rows() >= kManyRows) {
    return;
  }
  const std::int64_t enough = (3 * cache_bytes / 2 + bytes_ - 1) / bytes_;
  const std::int64_t copies = std::clamp<std::int64_t>(enough, kInARow, kMostCopies);
  copies_ = Memory::device(copies * bytes_, "timing a product");
  for (std::int64_t i = 0; i < copies; ++i) {
    check(cudaMemcpyAsync(copies_.data() + i * bytes_, first_, static_cast<std::size_t>(bytes_),
                          cudaMemcpyDeviceToDevice, stream),
          "timing a product");
  }
}

int TimingWeights::count() const {
  return copies_.data() == nullptr ? kInARow : static_cast<int>(copies_.bytes() / bytes_);
}

const void* TimingWeights::of(int number) const {
  return copies_.data() == nullptr ? first_ : copies_.data() + number * bytes_;
}

}  // namespace deformer::cuda
