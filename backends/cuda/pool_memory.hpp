#pragma once
/// Memory for a pool of cached passages, on the device or pinned in the host.

#include <memory>

#include "backends/backend.hpp"

namespace deformer::cuda {

/// Null for pageable, which is the host's plain memory. @throws Unavailable when there is too
/// little.
std::unique_ptr<PoolMemory> make_pool_memory(CachePlace place, std::int64_t bytes);

}  // namespace deformer::cuda
