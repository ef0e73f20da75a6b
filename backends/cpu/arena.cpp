#include "backends/cpu/arena.hpp"

#include <algorithm>
#include <utility>

namespace deformer {
namespace {

constexpr std::int64_t kAlignment = 64;

}  // namespace

int ArenaPlan::add(std::int64_t bytes, std::int64_t first, std::int64_t last) {
  const std::int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  slots_.push_back({rounded, first, last, 0});
  return static_cast<int>(slots_.size()) - 1;
}

std::int64_t ArenaPlan::lowest_free_offset(const Slot& slot,
                                           const std::vector<const Slot*>& placed) const {
  std::int64_t offset = 0;
  for (const Slot* other : placed) {  // ascending offsets
    const bool together = slot.first <= other->last && other->first <= slot.last;
    if (!together) {
      continue;
    }
    if (offset + slot.bytes <= other->offset) {
      break;
    }
    offset = std::max(offset, other->offset + other->bytes);
  }
  return offset;
}

std::int64_t ArenaPlan::alive_bytes(std::int64_t first, std::int64_t last) const {
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

void ArenaPlan::place() {
  std::vector<Slot*> largest_first;
  for (Slot& slot : slots_) {
    largest_first.push_back(&slot);
  }
  std::ranges::stable_sort(largest_first, std::ranges::greater{}, &Slot::bytes);
  std::vector<const Slot*> placed;
  for (Slot* slot : largest_first) {
    slot->offset = lowest_free_offset(*slot, placed);
    const auto where = std::ranges::upper_bound(placed, slot->offset, {}, &Slot::offset);
    placed.insert(where, slot);
    peak_bytes_ = std::max(peak_bytes_, slot->offset + slot->bytes);
  }
}

void Arena::grow(std::int64_t bytes) {
  if (bytes <= block_.bytes()) {
    return;
  }
  AlignedBuffer larger(bytes);
  outgrown_.push_back(std::exchange(block_, std::move(larger)));
}

std::byte* Arena::acquire() {
  outgrown_.clear();
  return block_.data();
}

}  // namespace deformer
