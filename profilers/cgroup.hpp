#pragma once
/// What the control groups (v1 and v2, also mixed) this process is in allow it.

#include <cstdint>
#include <filesystem>
#include <limits>

namespace deformer {

struct CgroupLimits {
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  double cpu_quota = 0;                    ///< in processors, the tightest; 0 when there is none
  std::int64_t memory_bytes = kNone;       ///< the tightest limit
  std::int64_t memory_left_bytes = kNone;  ///< the least left below any limit; >= 0
};

/// Reads the group of this process and all those above it, as far as they are mounted. Never
/// throws; what can't be read limits nothing. `root` is put before every path, for tests.
CgroupLimits read_cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace deformer
