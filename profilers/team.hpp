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

/// Waits until the threads of a team really run side by side, for at most 200 ms: a thread that was
/// just made shares its maker's processor for a while. (2-core Zen 4 under KVM: the first 60 ms of
/// a new team ran at a fortieth of the rate it had from then on.)
inline void settle_team(int threads) {
  constexpr std::int64_t kWorkNs = 20'000;
  constexpr std::int64_t kPatienceNs = 200'000'000;
  constexpr int kEnough = 5;  // in a row
  const auto work = [] {
    for (const std::int64_t end_ns = now_ns() + kWorkNs; now_ns() < end_ns;) {
    }
  };
  const std::int64_t begin_ns = now_ns();
  for (int good = 0; good < kEnough && now_ns() - begin_ns < kPatienceNs;) {
    const TeamTime time = time_team(
        threads, [] {}, work);
    good = time.elapsed_ns < 2 * kWorkNs ? good + 1 : 0;
  }
}

}  // namespace deformer
