#pragma once
/// What is queued on a stream, as a graph to be launched again and again.

#include <cuda_runtime_api.h>

#include <stdexcept>

#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// A capture that ends, whatever happens in it.
class Capture {
 public:
  explicit Capture(cudaStream_t stream);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  Graph end();

 private:
  cudaStream_t stream_;
};

/// A graph made ready and brought to the device; waits for `stream`.
GraphExec make_ready(const Graph& graph, cudaStream_t stream);

/// What queue() queues on `stream` and on streams that wait for it. @throws what queue and check
/// throw; the stream is then as it was.
template <class Queue>
GraphExec captured(cudaStream_t stream, const Queue& queue) {
  Capture recording(stream);
  queue();
  return make_ready(recording.end(), stream);
}

/// The same; empty where it can't be captured.
template <class Queue>
GraphExec captured_if_possible(cudaStream_t stream, const Queue& queue) {
  check(cudaStreamSynchronize(stream), "before a capture");
  try {
    return captured(stream, queue);
  } catch (const DeviceFault&) {
    throw;
  } catch (const std::runtime_error&) {
    forget(cudaGetLastError());
    return {};
  }
}

}  // namespace deformer::cuda
