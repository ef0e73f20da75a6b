#include "backends/cpu/slab.hpp"

#include <sys/mman.h>

#include <algorithm>

#include <fmt/format.h>

#include "backends/cpu/pages.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

/// Address space only: pages count when they are first written.
constexpr std::int64_t kBlockBytes = std::int64_t{64} << 20;

/// Mapped with a huge page to spare, so that the used part can begin at the start of one.
std::byte* map_aligned(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes + kHugePage);
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    throw Unavailable(fmt::format(
        "expected {} bytes of memory for packed weights, the system has not that much left; use a "
        "smaller model",
        bytes));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const auto ahead = static_cast<std::size_t>(
      round_up(static_cast<std::int64_t>(address), kHugePage) - static_cast<std::int64_t>(address));
  auto* start = static_cast<std::byte*>(mapped) + ahead;
  // Gives back what the alignment left over; a failure would cost address space only.
  if (ahead > 0) {
    static_cast<void>(munmap(mapped, ahead));
  }
  static_cast<void>(munmap(start + bytes, size - ahead - static_cast<std::size_t>(bytes)));
  // Advice only: failing changes no result.
  static_cast<void>(madvise(start, static_cast<std::size_t>(bytes), MADV_HUGEPAGE));
  return start;
}

}  // namespace

Slab::~Slab() {
  for (const Block& block : blocks_) {
    static_cast<void>(munmap(block.data, static_cast<std::size_t>(block.bytes)));
  }
}

std::byte* Slab::take(std::int64_t bytes) {
  const std::int64_t rounded = round_up(std::max<std::int64_t>(bytes, 1), kCacheLine);
  const std::lock_guard lock(mutex_);
  const auto fits = [&](const Block& block) { return block.used + rounded <= block.bytes; };
  auto block = std::ranges::find_if(blocks_, fits);
  if (block == blocks_.end()) {
    const std::int64_t size = round_up(std::max(rounded, kBlockBytes), kHugePage);
    block = blocks_.insert(blocks_.end(), {map_aligned(size), size, 0});
  }
  std::byte* piece = block->data + block->used;
  block->used += rounded;
  return piece;
}

}  // namespace deformer
