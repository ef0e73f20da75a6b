#pragma once
/// Operands of a product that is timed before there is a program with operands of its own.

#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

class TimingOperands {
 public:
  /// As large as the problem's; waits for the device. @throws Unavailable without the memory.
  explicit TimingOperands(const LtProblem& problem);

  /// Of the problem itself or one that differs in its finish.
  ProductArgs args(const LtProblem& problem) const;
  void* result() const { return result_.data(); }

 private:
  Memory weights_, source_, result_, bias_;
};

}  // namespace deformer::cuda
