#include "backends/cuda/timing_operands.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "backends/cuda/host/encode.hpp"
#include "backends/cuda/host/product_check.hpp"

namespace deformer::cuda {
namespace {

constexpr const char* kWhat = "timing a product";
constexpr unsigned kResultSeed = 3;

/// Small numbers, the same few thousand over and over: multiplying zeros takes a device less power
/// than a model's numbers do, and so less time. How many is a prime, so that rows of any width
/// differ from one another. Of another seed for each operand: rows that are alike in two of them
/// would give one sum of squares among sums that cancel.
void fill(const Memory& memory, Element element, unsigned seed) {
  std::vector<float> values(4093);
  std::minstd_rand generator(seed);
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
    : layout_(problem.d),
      weights_(Memory::device(problem.a.bytes(), kWhat)),
      source_(Memory::device(problem.b.bytes(), kWhat)),
      result_(Memory::device(problem.d.bytes(), kWhat)),
      bias_(Memory::device(problem.out() * bytes_of(problem.d.element), kWhat)) {
  fill(weights_, problem.a.element, 1);
  fill(source_, problem.b.element, 2);
  fill(result_, problem.d.element, kResultSeed);
  fill(bias_, problem.d.element, 4);
  check(cudaDeviceSynchronize(), kWhat);  // other streams follow
}

void TimingOperands::refill(cudaStream_t stream) const {
  check(cudaStreamSynchronize(stream), kWhat);
  fill(result_, layout_.element, kResultSeed);
  check(cudaDeviceSynchronize(), kWhat);
}

std::vector<float> TimingOperands::checked(cudaStream_t stream) const {
  check(cudaStreamSynchronize(stream), "comparing a product with cuBLASLt's");
  const std::int64_t row_bytes = layout_.leading * bytes_of(layout_.element);
  const CheckedRows rows = checked_rows(layout_.columns, layout_.leading);
  std::vector<std::byte> found(static_cast<std::size_t>(rows.count * row_bytes));
  check(cudaMemcpy2D(found.data(), static_cast<std::size_t>(row_bytes),
                     result_.data() + rows.first * row_bytes,
                     static_cast<std::size_t>(rows.step * row_bytes),
                     static_cast<std::size_t>(row_bytes), static_cast<std::size_t>(rows.count),
                     cudaMemcpyDeviceToHost),
        "comparing a product with cuBLASLt's");
  return decode(layout_.element, found.data(), rows.count * layout_.leading);
}

ProductArgs TimingOperands::args(const LtProblem& problem) const {
  return {problem, weights_.data(), source_.data(), result_.data(), bias_.data(), nullptr, nullptr};
}

}  // namespace deformer::cuda
