#pragma once
/// What it costs a thread team to start, to meet and to part.

#include <cstdint>
#include <optional>

namespace deformer {

struct Percentiles {
  double median_ns = 0;
  std::optional<double> p99_ns;  ///< nullopt where the samples are too few to say
};

struct TeamCost {
  Percentiles region;  ///< an empty OpenMP parallel region, on a team that is awake
  /// A spinning barrier (one counter, one generation word) inside a region, without sleeping;
  /// nullopt for a single thread, and where threads have to take turns on too few processors.
  std::optional<Percentiles> barrier;
};

/// Takes at most about `limit_ns`. `processors`: how many the process may use at a time.
TeamCost measure_team_cost(int threads, int processors, std::int64_t limit_ns);

}  // namespace deformer
