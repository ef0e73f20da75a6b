#include "backends/cuda/pool_memory.hpp"

#include "backends/cuda/resources.hpp"

namespace deformer::cuda {
namespace {

class CudaPoolMemory final : public PoolMemory {
 public:
  explicit CudaPoolMemory(Memory memory) : memory_(std::move(memory)) {}

  void write(std::int64_t offset, std::span<const std::byte> bytes) override {
    upload(memory_.data() + offset, bytes.data(), bytes.size(), "filling the pool");
  }
  const std::byte* address() const override { return memory_.data(); }

 private:
  Memory memory_;
};

}  // namespace

std::unique_ptr<PoolMemory> make_pool_memory(CachePlace place, std::int64_t bytes) {
  switch (place) {
    case CachePlace::device:
      return std::make_unique<CudaPoolMemory>(Memory::device(bytes, "a pool on the device"));
    case CachePlace::pinned:
      return std::make_unique<CudaPoolMemory>(Memory::pinned(bytes, "a pinned pool"));
    case CachePlace::pageable:
      break;
  }
  return nullptr;
}

}  // namespace deformer::cuda
