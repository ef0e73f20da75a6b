#pragma once
/// Sizes of the processor's caches, for choosing how much of a matrix is worked on at a time.

#include <cstdint>

namespace deformer {

/// Of one core's second-level cache; 1 MiB where the system does not say (some virtual machines).
std::int64_t second_level_cache_bytes();

}  // namespace deformer
