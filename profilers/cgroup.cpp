#include "profilers/cgroup.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "profilers/machine_parts.hpp"

// Files: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ in the Linux sources, proc(5).

namespace deformer {
namespace {

namespace fs = std::filesystem;

/// One line of /proc/self/cgroup, "4:memory:/docker/abc"; version 2 has id 0 and no controllers.
struct Membership {
  std::string controllers;
  std::string path;
};

/// One cgroup line of /proc/self/mountinfo.
struct Mount {
  std::string root;   ///< which group of the hierarchy is mounted
  std::string point;  ///< where
  bool version2 = false;
  std::string controllers;  ///< version 1: the super options, among them the controllers
};

bool holds(std::string_view comma_list, std::string_view word) {
  while (!comma_list.empty()) {
    const std::size_t comma = std::min(comma_list.find(','), comma_list.size());
    if (comma_list.substr(0, comma) == word) return true;
    comma_list.remove_prefix(std::min(comma + 1, comma_list.size()));
  }
  return false;
}

std::vector<Membership> read_memberships(const fs::path& root) {
  std::vector<Membership> memberships;
  std::istringstream lines(read_text(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    memberships.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return memberships;
}

std::vector<Mount> read_mounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::istringstream lines(read_text(root / "proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - ");  // optional fields end here
    if (dash == line.npos) continue;
    std::istringstream front(line.substr(0, dash));
    std::istringstream back(line.substr(dash + 3));
    std::string skipped;
    std::string type;
    Mount mount;
    front >> skipped >> skipped >> skipped >> mount.root >> mount.point;
    back >> type >> skipped >> mount.controllers;
    if (type != "cgroup" && type != "cgroup2") continue;
    mount.version2 = type == "cgroup2";
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

/// The folders of a process's own group and of those above it, the mount point last. In a container
/// that sees the host's paths the mounted root is part of `path`; where `path` leaves the mounted
/// part, the mount point is all there is.
std::vector<fs::path> folders_upwards(const fs::path& root, const Mount& mount,
                                      const std::string& path) {
  const fs::path relative = fs::path(path).lexically_relative(mount.root);
  std::vector<fs::path> folders = {root / fs::path(mount.point).relative_path()};
  for (const fs::path& part : relative) {
    if (part == "..") return {folders.front()};
    if (part != "." && !part.empty()) folders.push_back(folders.back() / part);
  }
  std::reverse(folders.begin(), folders.end());
  return folders;
}

/// The number in a file; nullopt when there is no such file, or no number ("max").
std::optional<std::int64_t> read_number(const fs::path& file) {
  return parse_integer(read_text(file));
}

void tighten_quota(std::optional<std::int64_t> quota, std::optional<std::int64_t> period,
                   CgroupLimits& limits) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;  // -1: none
  const double processors = static_cast<double>(*quota) / static_cast<double>(*period);
  limits.cpu_quota = limits.cpu_quota > 0 ? std::min(limits.cpu_quota, processors) : processors;
}

/// What the kernel would drop when the group needs room (file pages not in recent use) counts as
/// left, as it does in MemAvailable.
void tighten_memory(std::optional<std::int64_t> limit, std::optional<std::int64_t> usage,
                    std::int64_t reclaimable, CgroupLimits& limits) {
  if (!limit || *limit < 0) return;
  limits.memory_bytes = std::min(limits.memory_bytes, *limit);
  const std::int64_t used = std::max<std::int64_t>(usage.value_or(0) - reclaimable, 0);
  limits.memory_left_bytes =
      std::min(limits.memory_left_bytes, std::max<std::int64_t>(*limit - used, 0));
}

void apply_version2(const fs::path& folder, CgroupLimits& limits) {
  std::istringstream cpu_max(read_text(folder / "cpu.max"));  // "150000 100000" or "max 100000"
  std::string quota;
  std::string period;
  cpu_max >> quota >> period;
  tighten_quota(parse_integer(quota), parse_integer(period), limits);
  const auto usage = read_number(folder / "memory.current");
  const std::int64_t reclaimable =
      number_after(read_text(folder / "memory.stat"), "inactive_file ").value_or(0);
  // Above memory.high a group is put to sleep rather than killed: no less a limit for a benchmark.
  for (const char* file : {"memory.max", "memory.high"}) {
    tighten_memory(read_number(folder / file), usage, reclaimable, limits);
  }
}

void apply_version1_cpu(const fs::path& folder, CgroupLimits& limits) {
  tighten_quota(read_number(folder / "cpu.cfs_quota_us"), read_number(folder / "cpu.cfs_period_us"),
                limits);
}

void apply_version1_memory(const fs::path& folder, CgroupLimits& limits) {
  const std::int64_t reclaimable =
      number_after(read_text(folder / "memory.stat"), "total_inactive_file ").value_or(0);
  tighten_memory(read_number(folder / "memory.limit_in_bytes"),
                 read_number(folder / "memory.usage_in_bytes"), reclaimable, limits);
}

void apply(const fs::path& root, const Mount& mount, const Membership& membership,
           CgroupLimits& limits) {
  for (const fs::path& folder : folders_upwards(root, mount, membership.path)) {
    if (mount.version2) apply_version2(folder, limits);
    if (!mount.version2 && holds(membership.controllers, "cpu")) apply_version1_cpu(folder, limits);
    if (!mount.version2 && holds(membership.controllers, "memory")) {
      apply_version1_memory(folder, limits);
    }
  }
}

/// A membership of version 1 belongs to the mount that has its controllers.
bool belongs(const Membership& membership, const Mount& mount) {
  if (mount.version2 || membership.controllers.empty()) {
    return mount.version2 && membership.controllers.empty();
  }
  const std::string_view first =
      std::string_view(membership.controllers)
          .substr(0, std::min(membership.controllers.find(','), membership.controllers.size()));
  return holds(mount.controllers, first);
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  try {
    const std::vector<Mount> mounts = read_mounts(root);
    for (const Membership& membership : read_memberships(root)) {
      for (const Mount& mount : mounts) {
        if (belongs(membership, mount)) apply(root, mount, membership, limits);
      }
    }
  } catch (const std::exception&) {
    // Out of memory, or a path no file system takes: what was read so far stands.
  }
  return limits;
}

}  // namespace deformer
