#pragma once
/// What has to be given back: device and pinned memory, streams, events, captured graphs.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "backends/cuda/status.hpp"

namespace deformer::cuda {

/// A handle that is destroyed with its owner, and can be moved.
template <class Handle, cudaError_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  ~Owned() { reset(); }
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  Handle get() const { return handle_; }

 private:
  void reset() {
    if (handle_ != nullptr) {
      forget(kDestroy(handle_));
      handle_ = nullptr;
    }
  }
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

/// Runs beside the legacy stream.
Stream make_stream();
Event make_event();
/// One that only orders streams: cheaper, no time.
Event make_order();

class Memory {
 public:
  Memory() = default;
  ~Memory();
  Memory(Memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        pinned_(other.pinned_) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(pinned_, other.pinned_);
    return *this;
  }

  /// @throws Unavailable, naming `what`, when there is not as much.
  static Memory device(std::int64_t bytes, std::string_view what);
  /// Host memory that the device reads directly.
  static Memory pinned(std::int64_t bytes, std::string_view what);

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  /// Takes what an allocation returned, after its status was checked.
  void own(void* data, std::int64_t bytes, cudaError_t status, std::string_view what);

  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
  bool pinned_ = false;
};

/// Copies host bytes to where the device reads them, and returns when they are there: a copy from
/// pageable memory alone returns when it is staged, and our streams do not wait for the one it is
/// on.
void upload(void* to, const void* from, std::size_t bytes, std::string_view what);

}  // namespace deformer::cuda
