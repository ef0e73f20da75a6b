#pragma once
/// Operands of a product that is timed before there is a program with operands of its own.

#include <string_view>
#include <vector>

#include "backends/cuda/capture.hpp"
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

  /// What queue(0) and queue(1) leave of the result's checked rows (host/product_check.hpp), one
  /// behind the other in a graph, as they will run; the result held the same numbers before each
  /// such call. So a product that writes nothing shows, and one that starts early and is added onto
  /// what it should have waited for. (Of one that is not added both write the same: that it reads
  /// its source too early can't show here.) What can't be captured is queued as it is. Waits for
  /// the device. @throws DeviceFault, which names `tried`.
  template <class Queue>
  std::vector<float> result_of(cudaStream_t stream, std::string_view tried,
                               const Queue& queue) const {
    try {
      queue(0);  // brings its code to the device, which a capture may not
      const auto both = [&] {
        queue(0);
        queue(1);
      };
      const GraphExec graph = captured_if_possible(stream, both);
      refill(stream);
      if (graph.get() != nullptr) {
        check(cudaGraphLaunch(graph.get(), stream), "comparing a product with cuBLASLt's");
      } else {
        both();
      }
      return checked(stream);
    } catch (const DeviceFault& fault) {
      throw_again(fault, tried);
    }
  }

 private:
  void refill(cudaStream_t stream) const;
  std::vector<float> checked(cudaStream_t stream) const;

  MatrixLayout layout_;  ///< of the result
  Memory weights_, source_, result_, bias_;
};

}  // namespace deformer::cuda
