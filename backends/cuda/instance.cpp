#include "backends/cuda/instance.hpp"

namespace deformer::cuda {

Instance::Instance(std::int64_t cache_bytes)
    : main_(make_stream()),
      side_(make_stream()),
      copies_(make_stream()),
      main_workspace_(Memory::device(kLtWorkspaceBytes, "workspace of the main branch")),
      side_workspace_(Memory::device(kLtWorkspaceBytes, "workspace of the side branch")),
      branches_{{{main_.get(), main_workspace_.data()}, {side_.get(), side_workspace_.data()}}},
      cache_bytes_(cache_bytes) {}

std::shared_ptr<const Memory> Instance::activations(std::int64_t bytes) {
  if (!activations_ || activations_->bytes() < bytes) {
    activations_ = nullptr;  // before the new one: most of the time nobody else holds it
    activations_ = std::make_shared<const Memory>(Memory::device(bytes, "activations"));
  }
  return activations_;
}

void Instance::flush_cache() {
  // Twice its size: replacement is not strictly by age.
  if (flush_.data() == nullptr) {
    flush_ = Memory::device(2 * cache_bytes_, "emptying the cache");
  }
  check(cudaMemsetAsync(flush_.data(), 0, static_cast<std::size_t>(flush_.bytes()), main_.get()),
        "emptying the cache");
}

}  // namespace deformer::cuda
