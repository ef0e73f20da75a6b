#pragma once
/// Several figures, each measured in short rounds at different moments, until two undisturbed
/// rounds agree on its best: whoever disturbs one round has often gone by the next, and whoever
/// stays is named.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "profilers/disturbance.hpp"

namespace deformer {

/// What one round found of one figure.
struct Trial {
  std::vector<double> rates;  ///< higher is better, always as many; empty: it can't be measured
  double running = 1;         ///< RunningShare of its threads, where that says something
};

struct Figure {
  std::string what;                ///< "bandwidth: L2"
  double agreement = 0.97;         ///< a rate of that share of the best agrees with it
  std::function<Trial()> measure;  ///< keeps the better of what it found by itself
};

struct RoundRules {
  int threads = 1;
  int fewest = 2;
  int most = 6;
  std::int64_t limit_ns = 20'000'000'000;  ///< no round beyond the fewest starts later
};

struct RoundsTaken {
  int rounds = 0;
  /// Why the figures are not to be trusted; empty when they are.
  std::vector<std::string> disturbed;
};

/// Rounds over all figures, then over those that are not settled. `moment` is the clock;
/// `progress` is told what comes next; once `keep_on` says no, nothing more is measured.
RoundsTaken measure_in_rounds(const std::vector<Figure>& figures, const RoundRules& rules,
                              const std::function<Moment()>& moment,
                              const std::function<void(const std::string&)>& progress,
                              const std::function<bool()>& keep_on);

}  // namespace deformer
