#pragma once
/// Memory for weights and activations: aligned to cache lines, to huge pages where that pays, and
/// touched when it is made, so that no measured forward ever faults a page in.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace deformer {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Zeroed by all OpenMP threads. @throws Unavailable when the memory can't be had.
  explicit AlignedBuffer(std::int64_t bytes);

  std::byte* data() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* pointer) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::int64_t bytes_ = 0;
};

}  // namespace deformer
