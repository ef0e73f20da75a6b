#pragma once
/// How much of each phase was hidden behind another one.

#include <cstdint>
#include <span>
#include <vector>

namespace deformer::cuda {

struct Interval {
  std::int64_t begin_ns;
  std::int64_t end_ns;
};

/// Of each interval, nanoseconds in which none of those before it in the list ran: what it adds to
/// the whole. They sum up to the time in which anything ran.
void exposed_ns(std::span<const Interval> intervals, std::span<std::int64_t> exposed);

}  // namespace deformer::cuda
