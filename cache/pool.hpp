#pragma once
/// The memory tier: a pool of encoded passages larger than the last-level cache, so that every
/// forward loads passages that are not hot. Organised in sets: a set holds the passages of one
/// batch (batch x c), every set with the lengths of the shape, and each forward takes the next set.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/pool_memory.hpp"
#include "model/shape.hpp"
#include "model/types.hpp"

namespace deformer {

struct PoolSize {
  std::int64_t sets = 0;      ///< forwards until a passage comes again
  std::int64_t passages = 0;  ///< sets * batch * c
  std::int64_t bytes = 0;
  std::string shortfall;   ///< why it is smaller than the rule wants; empty when it is not
  std::string impossible;  ///< why even the smallest pool does not fit; empty when it does
};

/// Size by the interface: at least max(2 x last-level-cache share, 2 b c passages for each of the
/// `readers` side by side), at most 256 MB or 1/8 of available memory. `fixed_passages` > 0 fixes
/// the count, rounded up to whole sets.
PoolSize plan_pool(const Shape& shape, std::int64_t d_model, DType dtype,
                   std::int64_t last_level_cache_bytes, std::int64_t available_bytes,
                   std::int64_t fixed_passages, int readers = 1);

class PassagePool {
 public:
  /// `memory`: where the passages lie, bytes_of_pool of it; null for the host's plain memory.
  PassagePool(const Shape& shape, std::int64_t d_model, DType dtype, std::int64_t sets,
              std::unique_ptr<PoolMemory> memory = nullptr);

  /// What the memory of such a pool must hold, what a decoder reads beyond the last row included.
  static std::int64_t bytes_of_pool(const Shape& shape, std::int64_t d_model, DType dtype,
                                    std::int64_t sets);

  std::int64_t sets() const { return sets_; }
  std::int64_t bytes() const { return sets_ * set_bytes_; }
  DType dtype() const { return dtype_; }

  /// Stores the rows of all passages of a set, [sum of passage tokens, d].
  void store(std::int64_t set, std::span<const float> rows);
  /// Makes `set` a copy, at its own addresses, of a set stored before.
  void copy_set(std::int64_t from, std::int64_t to);

  /// Pointers to the passages of a set, for Inputs::cached_passages. Valid for the pool's life.
  std::span<const std::byte* const> set(std::int64_t index) const;

 private:
  Shape shape_;
  std::int64_t d_model_;
  DType dtype_;
  std::int64_t sets_;
  std::int64_t set_bytes_;
  std::unique_ptr<PoolMemory> memory_;
  std::vector<std::byte> bytes_;  ///< the whole pool, or one set on its way to `memory_`
  std::vector<const std::byte*> passages_;
};

/// One reader's way through a pool: its own share of the sets, round and round. Readers side by
/// side never load the same passages, unless the pool has fewer sets than readers.
class PoolWalk {
 public:
  PoolWalk(const PassagePool& pool, int reader, int readers);
  /// The next set. Allocates nothing.
  std::span<const std::byte* const> next();

 private:
  const PassagePool* pool_;
  std::int64_t first_;
  std::int64_t end_;
  std::int64_t at_;
};

}  // namespace deformer
