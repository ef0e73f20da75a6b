#include "backends/cuda/timing_weights.hpp"

#include "backends/cuda/stopwatch.hpp"

namespace deformer::cuda {

TimingWeights::TimingWeights(const ProductArgs& args, std::int64_t cache_bytes, cudaStream_t stream)
    : first_(args.weights),
      places_(weight_copies(args.problem.a.bytes(), args.problem.rows(), cache_bytes, kInARow)),
      copies_(Memory::device(places_.bytes(), "timing a product")) {
  for (std::int64_t i = 0; i < places_.count; ++i) {
    check(cudaMemcpyAsync(copies_.data() + i * places_.apart, first_,
                          static_cast<std::size_t>(args.problem.a.bytes()),
                          cudaMemcpyDeviceToDevice, stream),
          "timing a product");
  }
}

int TimingWeights::count() const {
  return places_.count == 0 ? kInARow : static_cast<int>(places_.count);
}

const void* TimingWeights::of(int number) const {
  return places_.count == 0 ? first_ : copies_.data() + number * places_.apart;
}

}  // namespace deformer::cuda
