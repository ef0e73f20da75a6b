#include "backends/cuda/resources.hpp"

namespace deformer::cuda {
namespace {

Event event(unsigned flags) {
  cudaEvent_t handle = nullptr;
  check(cudaEventCreateWithFlags(&handle, flags), "making an event");
  return Event(handle);
}

}  // namespace

Stream make_stream() {
  cudaStream_t handle = nullptr;
  check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "making a stream");
  return Stream(handle);
}

Event make_event() {
  return event(cudaEventDefault);
}
Event make_order() {
  return event(cudaEventDisableTiming);
}

Memory::~Memory() {
  if (data_ != nullptr) {
    forget(pinned_ ? cudaFreeHost(data_) : cudaFree(data_));
  }
}

Memory Memory::device(std::int64_t bytes, std::string_view what) {
  Memory memory;
  if (bytes == 0) {
    return memory;
  }
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, static_cast<std::size_t>(bytes));
  memory.own(data, bytes, status, what);
  return memory;
}

void Memory::own(void* data, std::int64_t bytes, cudaError_t status, std::string_view what) {
  if (status == cudaErrorMemoryAllocation) {
    throw_out_of_memory(what, bytes);
  }
  check(status, what);
  data_ = static_cast<std::byte*>(data);
  bytes_ = bytes;
}

Memory Memory::pinned(std::int64_t bytes, std::string_view what) {
  Memory memory;
  memory.pinned_ = true;
  if (bytes == 0) {
    return memory;
  }
  void* data = nullptr;
  const cudaError_t status =
      cudaHostAlloc(&data, static_cast<std::size_t>(bytes), cudaHostAllocDefault);
  memory.own(data, bytes, status, what);
  return memory;
}

void upload(void* to, const void* from, std::size_t bytes, std::string_view what) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), what);
  check(cudaStreamSynchronize(cudaStreamLegacy), what);
}

}  // namespace deformer::cuda
