#pragma once
/// Copies of one product's weights, to time it with others each time: in a forward every layer has
/// weights of its own, which no cache holds.

#include <algorithm>
#include <cstdint>

#include "backends/cuda/host/program.hpp"

namespace deformer::cuda {

struct WeightCopies {
  std::int64_t count;  ///< 0: the one there is will do
  std::int64_t apart;  ///< bytes from one to the next

  std::int64_t bytes() const { return count * apart; }
};

/// `bytes` of weights, for a product of so many rows on a device whose L2 holds `cache_bytes`: at
/// least `least` copies, together larger than that. Each lies as a program's weights do: cuBLASLt
/// chooses algorithms for addresses that are multiples of 256 bytes.
inline WeightCopies weight_copies(std::int64_t bytes, std::int64_t rows, std::int64_t cache_bytes,
                                  std::int64_t least) {
  // Rows from which on a product's time is its arithmetic's, wherever its weights come from.
  constexpr std::int64_t kManyRows = 4096;
  constexpr std::int64_t kMostCopies = 64;
  const std::int64_t apart = (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
  if (rows >= kManyRows || bytes == 0) {
    return {0, apart};
  }
  return {std::clamp((3 * cache_bytes / 2 + apart - 1) / apart, least, kMostCopies), apart};
}

}  // namespace deformer::cuda
