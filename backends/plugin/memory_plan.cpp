#include "backends/plugin/memory_plan.hpp"

#include <algorithm>

namespace deformer {

int MemoryPlan::add(std::int64_t bytes, std::int64_t first, std::int64_t last, Branch branch) {
  const std::int64_t rounded = (bytes + alignment_ - 1) / alignment_ * alignment_;
  slots_.push_back({rounded, first, last, branch, 0});
  return static_cast<int>(slots_.size()) - 1;
}

bool MemoryPlan::together(const Slot& a, const Slot& b) const {
  const bool beside = a.branch != b.branch && a.first < joined_ && b.first < joined_;
  return beside || (a.first <= b.last && b.first <= a.last);
}

bool MemoryPlan::together(int a, int b) const {
  return together(slots_[static_cast<std::size_t>(a)], slots_[static_cast<std::size_t>(b)]);
}

std::int64_t MemoryPlan::lowest_free_offset(const Slot& slot,
                                            const std::vector<const Slot*>& placed) const {
  std::int64_t offset = 0;
  for (const Slot* other : placed) {  // ascending offsets
    if (!together(slot, *other)) {
      continue;
    }
    if (offset + slot.bytes <= other->offset) {
      break;
    }
    offset = std::max(offset, other->offset + other->bytes);
  }
  return offset;
}

void MemoryPlan::place() {
  std::vector<Slot*> largest_first;
  for (Slot& slot : slots_) {
    largest_first.push_back(&slot);
  }
  std::ranges::stable_sort(largest_first, std::ranges::greater{}, &Slot::bytes);
  std::vector<const Slot*> placed;
  for (Slot* slot : largest_first) {
    slot->offset = lowest_free_offset(*slot, placed);
    placed.insert(std::ranges::upper_bound(placed, slot->offset, {}, &Slot::offset), slot);
    peak_bytes_ = std::max(peak_bytes_, slot->offset + slot->bytes);
  }
}

std::int64_t MemoryPlan::alive_bytes(std::int64_t first, std::int64_t last) const {
  std::int64_t most = 0;
  for (std::int64_t tick = first; tick <= last; ++tick) {
    std::int64_t sum = 0;
    for (const Slot& slot : slots_) {
      sum += slot.first <= tick && tick <= slot.last ? slot.bytes : 0;
    }
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace deformer
