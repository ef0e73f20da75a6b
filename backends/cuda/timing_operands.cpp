#include "backends/cuda/timing_operands.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "backends/cuda/host/encode.hpp"

namespace deformer::cuda {
namespace {

constexpr const char* kWhat = "timing a product";

/// Small numbers, the same few thousand over and over: multiplying zeros takes a device less power
/// than a model's numbers do, and so less time.
void fill(const Memory& memory, Element element) {
  std::vector<float> values(4096);
  std::minstd_rand generator;
  for (float& value : values) {
    value = std::uniform_real_distribution<float>(-0.125F, 0.125F)(generator);
  }
  const std::vector<std::byte> numbers = encode(element, values);
  auto filled = std::min(static_cast<std::int64_t>(numbers.size()), memory.bytes());
  check(cudaMemcpy(memory.data(), numbers.data(), static_cast<std::size_t>(filled),
                   cudaMemcpyHostToDevice),
        kWhat);
  while (filled < memory.bytes()) {  // as much again as there is
    const std::int64_t more = std::min(filled, memory.bytes() - filled);
    check(cudaMemcpy(memory.data() + filled, memory.data(), static_cast<std::size_t>(more),
                     cudaMemcpyDeviceToDevice),
          kWhat);
    filled += more;
  }
}

}  // namespace

TimingOperands::TimingOperands(const LtProblem& problem)
    : weights_(Memory::device(problem.a.bytes(), kWhat)),
      source_(Memory::device(problem.b.bytes(), kWhat)),
      result_(Memory::device(problem.d.bytes(), kWhat)),
      bias_(Memory::device(problem.out() * bytes_of(problem.d.element), kWhat)) {
  fill(weights_, problem.a.element);
  fill(source_, problem.b.element);
  for (const Memory* memory : {&result_, &bias_}) {
    check(cudaMemset(memory->data(), 0, static_cast<std::size_t>(memory->bytes())), kWhat);
  }
  check(cudaDeviceSynchronize(), kWhat);  // other streams follow
}

ProductArgs TimingOperands::args(const LtProblem& problem) const {
  return {problem, weights_.data(), source_.data(), result_.data(), bias_.data(), nullptr, nullptr};
}

}  // namespace deformer::cuda
