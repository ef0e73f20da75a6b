#pragma once
/// The statistics of one point: how much slower head is, and how well that is known. Internal to
/// the gate.
///
/// The unit of evidence is the *process*, not the round. Of every pair of processes one number is
/// kept: the median over its rounds of ln(head / base), so that spikes and heavy tails within a
/// process count little and autocorrelation of its rounds does not matter. Over the pairs these
/// numbers d_1..d_P are independent; in A/A gates they are symmetric about 0 whatever the noise,
/// because base and head could be swapped. Their centre and its standard error are the trimmed
/// mean's (Tukey and McLaughlin 1963, Yuen 1974; a tenth off each end), with Student's t on the
/// pairs kept less one: at least as wide as it need be for heavy tails.
///
/// A calibrated noise s0 with f0 degrees of freedom is pooled with the run's own s
/// ((f0 s0^2 + f s^2) / (f0 + f), as in Smyth 2004), unless the run is noisier than the calibration
/// at the 5 % level of an F test: then only the run's own counts.
///
/// Processes that stood beside no other: the difference of the means of the process medians, with
/// pooled variance, and beyond it `assumed_noise_ln` a side, which more processes of the same
/// session do not reduce: what differs between sessions is not in the data.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer {

/// What is judged: a point's time, its time over its full's, or the full's that stood beside it.
enum class Figure { time, ratio, full };

/// Where ln(head / base) lies. `error` is 1 standard error.
struct Location {
  double centre = 0;
  double error = 0;
  double degrees_of_freedom = 0;  ///< infinity: the error is assumed, not estimated
  std::int64_t processes = 0, rounds = 0;
  bool paired = false;
  bool assumed_noise = false;
};

/// The number kept of each pair of processes; pairs in which the figure is missing are left out.
std::vector<double> pair_differences(const GatePoint& point, Figure figure, bool only_confirming);

/// Centre of the differences of pairs. nullopt for none. `noise_ln` with its degrees of freedom:
/// the calibration, 0 when there is none.
std::optional<Location> locate(std::span<const double> differences, double noise_ln,
                               double noise_degrees, double assumed_noise_ln);

/// Of a point: its pairs where it has any, else its processes alone. nullopt when the figure was
/// not observed on both sides.
std::optional<Location> locate(const GatePoint& point, Figure figure, const GateRules& rules,
                               bool only_confirming = false);

/// Level of the one-sided test behind an alarm. What is not measured again afterwards must be five
/// times surer: at 95 % confidence 1 false alarm in 200 where noise is boundless, not 1 in 40.
double alarm_level(const GateRules& rules, bool confirmed_later);

/// Interval, p-values and smallest effect of a location. `threshold`: of this point; `tests`: how
/// many figures the gate judges together.
Estimate estimate(const Location& location, double threshold, const GateRules& rules,
                  std::int64_t tests);

/// Benjamini and Hochberg 1995: which of the hypotheses are rejected at false-discovery rate
/// `rate`. `family`: how many there are, where some are not known yet (taken as not rejected).
std::vector<bool> rejected(std::span<const double> p_values, double rate, std::int64_t family = 0);

}  // namespace deformer
