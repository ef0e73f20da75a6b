#pragma once
/// Where the buffers of one forward lie in one block of device memory: those never alive together
/// share bytes. Steps of the two branches may run at the same time, so what belongs to one branch
/// shares nothing with what belongs to the other.

#include <cstdint>
#include <vector>

namespace deformer::cuda {

/// A stream of the captured graph: `main` has the questions and everything joint, `side` what can
/// run beside the questions.
enum class Branch : std::uint8_t { main, side };

class MemoryPlan {
 public:
  /// What cuBLASLt wants of an address, and a whole number of vectors.
  static constexpr std::int64_t kAlignment = 256;

  /// Asks for a buffer alive from tick `first` to tick `last`, both included. Before tick
  /// `joined()` the branches run beside each other. Returns its slot.
  int add(std::int64_t bytes, std::int64_t first, std::int64_t last, Branch branch);
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

  std::vector<Slot> slots_;
  std::int64_t joined_ = 0;
  std::int64_t peak_bytes_ = 0;
};

}  // namespace deformer::cuda
