#pragma once
/// What a gate is told: how large a change matters, how sure it must be, what is known of the
/// noise.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace deformer {

/// Which statistical figures decide. `both`: time, and for variants with a `full` the paired ratio
/// too. Across machines only `ratio` is possible. `exact`: none, only exact and counted figures.
enum class GateMetric { both, time, ratio, exact };

/// What `gate calibrate` learnt of one point on this machine, from A/A runs.
struct PointNoise {
  /// Standard deviation, from one pair of processes to the next, of ln(head / base): the noise
  /// floor.
  double time_ln = 0;
  double ratio_ln = 0;            ///< the same of ln of the ratio cached/full; 0: unknown
  double degrees_of_freedom = 0;  ///< pairs of processes behind it, less one
  double threshold = 0;           ///< used where no --threshold was given, e.g. 0.021; 0: none
};

struct GateRules {
  double threshold = 0.03;           ///< a slowdown of this much must be caught; 0.03 is 3 %
  bool threshold_given = false;      ///< by the user: a calibrated one does not replace it
  double confidence = 0.95;          ///< of the two-sided interval of each point
  std::int64_t minimum_rounds = 10;  ///< of each side; fewer are no evidence: AMBIGUOUS
  GateMetric metric = GateMetric::both;
  /// A regression is called only when pairs marked `confirming` show it too; without such pairs the
  /// point is AMBIGUOUS and `suspected`.
  bool confirm = false;
  /// How often the data will have been looked at when it is judged for the last time; each look
  /// gets its share of the error that `confidence` allows. 1: judged once.
  int looks = 1;
  /// Standard deviation assumed of ln time of one side where the data cannot tell it: from session
  /// to session where base and head were not measured side by side (half of it of a ratio), and
  /// from process to process where there is one process and no calibration.
  double assumed_noise_ln = 0.02;
  std::map<std::string, PointNoise> calibration;  ///< by key
  /// Allowed relative increase of exact and counted figures, by name ("binary_bytes": 0.01).
  /// Exact figures that are not named: 0, any increase is a regression; but the size of the binary,
  /// which every commit changes: 1 %.
  std::map<std::string, double> figure_thresholds;
  double counted_threshold = 0.01;  ///< of counted figures that are not named
  /// Of those that a simulation counted, which no interrupt disturbs: see docs/gate-reference.md
  /// for how closely they repeat.
  double simulated_threshold = 0.002;
};

}  // namespace deformer
