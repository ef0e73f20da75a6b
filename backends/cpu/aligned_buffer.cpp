#include "backends/cpu/aligned_buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "backends/cpu/pages.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

/// Bytes one thread zeroes at a time.
constexpr std::int64_t kTouchBlock = std::int64_t{1} << 20;

void touch(std::byte* data, std::int64_t bytes) {
  const std::int64_t blocks = (bytes + kTouchBlock - 1) / kTouchBlock;
#pragma omp parallel for schedule(static) if (blocks > 8)
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kTouchBlock;
    std::memset(data + first, 0, static_cast<std::size_t>(std::min(kTouchBlock, bytes - first)));
  }
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) {
    return;
  }
  const std::int64_t alignment = bytes >= 2 * kHugePage ? kHugePage : kCacheLine;
  const auto size = static_cast<std::size_t>(round_up(bytes, alignment));
  data_.reset(
      static_cast<std::byte*>(std::aligned_alloc(static_cast<std::size_t>(alignment), size)));
  if (!data_) {
    throw Unavailable(fmt::format(
        "expected {} bytes of memory for the cpu backend, the system has not that much left; use a "
        "smaller model, batch or length",
        bytes));
  }
  if (alignment == kHugePage) {
    // Advice only: fewer TLB misses in the products' strided reads; failing changes no result.
    static_cast<void>(madvise(data_.get(), size, MADV_HUGEPAGE));
  }
  touch(data_.get(), bytes);
}

void AlignedBuffer::Free::operator()(std::byte* pointer) const {
  std::free(pointer);
}

}  // namespace deformer
