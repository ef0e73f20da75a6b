#include "backends/cpu/arena.hpp"

#include <utility>

namespace deformer {

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
