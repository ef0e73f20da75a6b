#pragma once
/// Memory for many pieces that live and die together (a model's packed weights): cut from a few
/// large blocks of huge pages. Weights streamed through small pages ran at about 150 GFLOP/s at 27
/// rows, through huge ones at 190 to 220 (Zen 4, virtual machine); a layer's smaller matrices would
/// have none of their own, and rounding each up to whole huge pages would waste a tenth of the
/// memory.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace deformer {

class Slab {
 public:
  Slab() = default;
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  /// Zeroed, aligned to cache lines, valid as long as the slab. May be called by several threads at
  /// once. @throws Unavailable when the memory can't be had.
  std::byte* take(std::int64_t bytes);
  float* take_floats(std::int64_t count) {
    return reinterpret_cast<float*>(take(count * static_cast<std::int64_t>(sizeof(float))));
  }

 private:
  struct Block {
    std::byte* data;
    std::int64_t bytes;
    std::int64_t used;
  };
  std::mutex mutex_;
  std::vector<Block> blocks_;
};

}  // namespace deformer
