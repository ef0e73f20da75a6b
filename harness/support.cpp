// What this build and machine can and cannot do, point by point.

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "harness/sweep.hpp"
#include "harness/thread_limit.hpp"
#include "model/cost.hpp"
#include "model/error.hpp"
#include "profilers/machine.hpp"

namespace deformer {
namespace {

std::string backend_reason(const PlannedGroup& group, const Point& point) {
  const Backend& backend = require_backend(point.backend);
  const DType cache_dtype = point.variant == Variant::cached ? point.cache_dtype : DType::f32;
  if (const auto why = backend.why_not(group.config, point.dtype, cache_dtype)) {
    return *why;
  }
  const bool placed = point.variant == Variant::cached;
  return backend.why_not_placed(placed ? point.cache_at : CachePlace::device, point.cold)
      .value_or("");
}

std::string thread_reason(const PlannedGroup& group) {
  static std::map<std::int64_t, std::string> known;  // each number is tried once
  if (group.points.empty()) {
    return {};
  }
  const Point& point = group.points.front().point;
  const std::int64_t threads = std::int64_t{point.threads} * point.instances;
  const auto [entry, is_new] = known.try_emplace(threads);
  if (is_new) {
    entry->second = why_not_threads(threads);
  }
  return entry->second;
}

void mark(PlannedPoint& planned, const std::string& reason) {
  if (planned.skip == Skip::no && !reason.empty()) {
    planned.skip = Skip::unavailable;
    planned.reason = reason;
  }
}

void mark_group(PlannedGroup& group, std::int64_t host_available_bytes) {
  static const std::int64_t cache_bytes = read_machine().last_level_cache_bytes;
  const GroupOptions options = group_options(group, cache_bytes, host_available_bytes);
  const std::int64_t available_bytes = options.available_bytes;
  const std::string crowd = thread_reason(group);
  for (PlannedPoint& planned : group.points) {
    if (planned.skip != Skip::no) {
      continue;
    }
    mark(planned, crowd);
    mark(planned, backend_reason(group, planned.point));
    if (planned.skip == Skip::no && planned.point.variant == Variant::cached) {
      mark(planned, pool_for(planned, group, options).impossible);
    }
  }
  const std::int64_t needed = planned_bytes(group, options);
  if (available_bytes > 0 && needed > available_bytes) {
    for (PlannedPoint& planned : group.points) {
      mark(planned, fmt::format("planned memory {} bytes exceeds the {} bytes available", needed,
                                available_bytes));
    }
  }
}

}  // namespace

void mark_unavailable(std::vector<PlannedGroup>& groups) {
  const std::int64_t available_bytes = available_memory_bytes();
  const PlannedPoint* refused = nullptr;
  bool something_left = false;
  for (PlannedGroup& group : groups) {
    mark_group(group, available_bytes);
    for (const PlannedPoint& planned : group.points) {
      something_left = something_left || planned.skip == Skip::no;
      if (planned.skip == Skip::unavailable && refused == nullptr) {
        refused = &planned;
      }
    }
  }
  if (!something_left && refused != nullptr) {
    throw Unavailable(fmt::format("nothing of what was asked can be run here; {}: {}",
                                  refused->name, refused->reason));
  }
}

}  // namespace deformer
