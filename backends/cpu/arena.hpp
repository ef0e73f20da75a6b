#pragma once
/// Activation memory. An ArenaPlan places buffers by lifetime so that those never alive together
/// share bytes; an Arena is the one block that all sessions of a model run in.

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/plugin/memory_plan.hpp"

namespace deformer {

/// Buffers begin at cache lines.
struct ArenaPlan : MemoryPlan {
  ArenaPlan() : MemoryPlan(kCacheLine) {}
};

class Arena {
 public:
  /// Makes the arena at least this large. Blocks it outgrows live until the next `acquire`, so that
  /// outputs of the last run stay readable.
  void grow(std::int64_t bytes);
  /// The base address, for a run.
  std::byte* acquire();
  std::int64_t bytes() const { return block_.bytes(); }

 private:
  AlignedBuffer block_;
  std::vector<AlignedBuffer> outgrown_;
};

}  // namespace deformer
