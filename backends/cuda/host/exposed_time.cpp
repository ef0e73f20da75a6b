#include "backends/cuda/host/exposed_time.hpp"

#include <algorithm>

namespace deformer::cuda {
namespace {

/// Time of [begin, end) that `earlier` leave uncovered. Recursion instead of a sorted copy: this is
/// called in the timed region's wake and allocates nothing; a plan has at most eight phases.
std::int64_t uncovered(Interval piece, std::span<const Interval> earlier) {
  if (piece.begin_ns >= piece.end_ns) {
    return 0;
  }
  for (std::size_t i = 0; i < earlier.size(); ++i) {
    const Interval& cover = earlier[i];
    if (cover.begin_ns < piece.end_ns && piece.begin_ns < cover.end_ns) {
      const std::span<const Interval> rest = earlier.subspan(i + 1);
      return uncovered({piece.begin_ns, std::min(piece.end_ns, cover.begin_ns)}, rest) +
             uncovered({std::max(piece.begin_ns, cover.end_ns), piece.end_ns}, rest);
    }
  }
  return piece.end_ns - piece.begin_ns;
}

}  // namespace

void exposed_ns(std::span<const Interval> intervals, std::span<std::int64_t> exposed) {
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    exposed[i] = uncovered(intervals[i], intervals.first(i));
  }
}

}  // namespace deformer::cuda
