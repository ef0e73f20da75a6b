#pragma once
/// Activation memory. An ArenaPlan places buffers by lifetime so that those never alive together
/// share bytes; an Arena is the one block that all sessions of a model run in.

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"

namespace deformer {

class ArenaPlan {
 public:
  /// Asks for a buffer alive from tick `first` to tick `last`, both included. Returns its slot.
  int add(std::int64_t bytes, std::int64_t first, std::int64_t last);
  /// Places all buffers: largest first, each at the lowest offset free during its whole life.
  void place();

  std::int64_t offset(int slot) const { return slots_[static_cast<std::size_t>(slot)].offset; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  /// Most bytes alive at one tick of [first, last].
  std::int64_t alive_bytes(std::int64_t first, std::int64_t last) const;

 private:
  struct Slot {
    std::int64_t bytes;
    std::int64_t first;
    std::int64_t last;
    std::int64_t offset;
  };
  std::int64_t lowest_free_offset(const Slot& slot, const std::vector<const Slot*>& placed) const;

  std::vector<Slot> slots_;
  std::int64_t peak_bytes_ = 0;
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
