#include "backends/cuda/capture.hpp"

#include <utility>

namespace deformer::cuda {

Capture::Capture(cudaStream_t stream) : stream_(stream) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning a capture");
}

Capture::~Capture() {
  if (stream_ != nullptr) {
    cudaGraph_t graph = nullptr;
    forget(cudaStreamEndCapture(stream_, &graph));
    const Graph dropped(graph);
  }
}

Graph Capture::end() {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(std::exchange(stream_, nullptr), &graph), "ending a capture");
  return Graph(graph);
}

GraphExec make_ready(const Graph& graph, cudaStream_t stream) {
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph.get(), 0), "making a graph ready");
  GraphExec ready(exec);
  check(cudaGraphUpload(ready.get(), stream), "uploading a graph");
  check(cudaStreamSynchronize(stream), "uploading a graph");
  return ready;
}

}  // namespace deformer::cuda
