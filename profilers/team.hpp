#pragma once
/// One piece of work on a thread team, timed from the first thread's start to the last one's end: a
/// thread that is held up anywhere in between makes the whole piece late.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "profilers/clock.hpp"

namespace deformer {

struct TeamTime {
  std::int64_t elapsed_ns;  ///< at least 1
  int threads;              ///< how many there really were
};

/// Calls work() once on each of `threads` OpenMP threads. A team that slept since the last parallel
/// region wakes at different times, so it is lined up first, around ready(), which each thread
/// calls too: a little of the work brings up clocks, wide units and pages. Allocates nothing.
template <typename Ready, typename Work>
TeamTime time_team(int threads, const Ready& ready, const Work& work) {
  std::int64_t start = std::numeric_limits<std::int64_t>::max();
  std::int64_t stop = 0;
  int team = 0;
#pragma omp parallel num_threads(threads) reduction(min : start) reduction(max : stop) \
    reduction(+ : team)
  {
#pragma omp barrier
    ready();
#pragma omp barrier
    start = now_ns();
    work();
    stop = now_ns();
    team = 1;
  }
  return {std::max<std::int64_t>(stop - start, 1), team};
}

}  // namespace deformer
