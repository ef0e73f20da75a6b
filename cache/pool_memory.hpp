#pragma once
/// Memory that holds a pool of encoded passages where a device wants it. Made by a backend's model.

#include <cstddef>
#include <cstdint>
#include <span>

namespace deformer {

class PoolMemory {
 public:
  virtual ~PoolMemory() = default;
  PoolMemory() = default;
  PoolMemory(const PoolMemory&) = delete;
  PoolMemory& operator=(const PoolMemory&) = delete;
  /// Copies `bytes`, which lie in the host's memory or in this pool, to `offset`; they are there
  /// when it returns. The caller keeps within the size it asked for.
  virtual void write(std::int64_t offset, std::span<const std::byte> bytes) = 0;
  /// Address of its first byte, as Inputs::cached_passages names it. Not the host's to follow.
  virtual const std::byte* address() const = 0;
};

}  // namespace deformer
