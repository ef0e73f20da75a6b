#pragma once
/// Memory for many pieces that live and die together (a model's packed weights): cut from a few
/// large blocks of huge pages. A layer's smaller matrices have no huge page of their own, and
/// streaming them through small pages costs a tenth of the rate at 27 rows (Zen 4, nested paging);
/// rounding each up to huge pages would waste a tenth of the memory instead.

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
