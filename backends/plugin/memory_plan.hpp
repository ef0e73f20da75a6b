#pragma once
/// Where the buffers of one forward lie in one block of memory: those never alive together share
/// bytes. Where two branches of a forward may run at the same time, what belongs to one shares
/// nothing with what belongs to the other.

#include <cstdint>
#include <vector>

namespace deformer {

/// `main` has the questions and everything joint, `side` what can run beside the questions. A
/// backend that runs one step after the other has `main` only.
enum class Branch : std::uint8_t { main, side };

class MemoryPlan {
 public:
  /// Every buffer begins at a multiple of `alignment` bytes and has a multiple of them.
  explicit MemoryPlan(std::int64_t alignment) : alignment_(alignment) {}
  std::int64_t alignment() const { return alignment_; }

  /// Asks for a buffer alive from tick `first` to tick `last`, both included. Before tick
  /// `joined()` the branches run beside each other. Returns its slot.
  int add(std::int64_t bytes, std::int64_t first, std::int64_t last, Branch branch = Branch::main);
  /// Branches run beside each other at ticks below this one; 0: never.
  void join_at(std::int64_t tick) { joined_ = tick; }
  /// Places all buffers: largest first, each at the lowest offset free during its whole life.
  void place();

  std::int64_t offset(int slot) const { return slots_[static_cast<std::size_t>(slot)].offset; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  /// Most bytes alive at one tick of [first, last].
  std::int64_t alive_bytes(std::int64_t first, std::int64_t last) const;
  /// Whether two slots may be in use at the same time; for tests: then they share no byte.
  bool together(int a, int b) const;
  std::int64_t bytes(int slot) const { return slots_[static_cast<std::size_t>(slot)].bytes; }
  int slots() const { return static_cast<int>(slots_.size()); }

 private:
  struct Slot {
    std::int64_t bytes;
    std::int64_t first;
    std::int64_t last;
    Branch branch;
    std::int64_t offset;
  };
  bool together(const Slot& a, const Slot& b) const;
  std::int64_t lowest_free_offset(const Slot& slot, const std::vector<const Slot*>& placed) const;

  std::int64_t alignment_;
  std::vector<Slot> slots_;
  std::int64_t joined_ = 0;
  std::int64_t peak_bytes_ = 0;
};

}  // namespace deformer
