#include "reports/gate/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "profilers/statistics.hpp"
#include "reports/gate/distributions.hpp"

namespace deformer {
namespace {

constexpr double kTrimmed = 0.1;  ///< off each end
/// No run is believed to be quieter than this from process to process: clocks tick, and a handful
/// of equal numbers is chance.
constexpr double kFinestNoise_ln = 0.0005;
/// A run noisier than its calibration at this level is judged by its own noise alone.
constexpr double kNoisierLevel = 0.05;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// ln of what is judged; not finite when the round does not have it.
double figure_ln(const GateRound& round, Figure figure) {
  const auto ln = [](double ns) { return ns > 0 ? std::log(ns) : -kInfinite; };
  switch (figure) {
    case Figure::time:
      return ln(round.ns);
    case Figure::full:
      return ln(round.full_ns);
    case Figure::ratio:
      return ln(round.ns) - ln(round.full_ns);
  }
  return -kInfinite;
}

/// Reorders the values.
double middle(std::vector<double>& values) {
  const auto half = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), half, values.end());
  if (values.size() % 2 == 1) {
    return *half;
  }
  return (*half + *std::max_element(values.begin(), half)) / 2;
}

/// Difference of one pair; NaN when no round has the figure on both sides.
double pair_difference(const GatePair& pair, Figure figure) {
  std::vector<double> differences;
  differences.reserve(pair.base.size());
  for (std::size_t r = 0; r < std::min(pair.base.size(), pair.head.size()); ++r) {
    const double difference = figure_ln(pair.head[r], figure) - figure_ln(pair.base[r], figure);
    if (std::isfinite(difference)) {
      differences.push_back(difference);
    }
  }
  return differences.empty() ? std::numeric_limits<double>::quiet_NaN() : middle(differences);
}

/// Median of each process, and the error of the first's median from its own rounds.
struct Side {
  std::vector<double> medians;
  double within_ln = 0;  ///< 1 standard error of a process's median; the largest of them
  std::int64_t rounds = 0;
};

Side side_of(const std::vector<GateProcess>& processes, Figure figure) {
  Side side;
  for (const GateProcess& process : processes) {
    std::vector<double> values;
    for (const GateRound& round : process.rounds) {
      if (const double value = figure_ln(round, figure); std::isfinite(value)) {
        values.push_back(value);
      }
    }
    if (values.empty()) {
      continue;
    }
    side.rounds += static_cast<std::int64_t>(values.size());
    if (const auto interval = median_interval(values)) {
      constexpr double kNormal95 = 1.96;
      side.within_ln = std::max(side.within_ln, (interval->high - interval->low) / (2 * kNormal95));
    }
    side.medians.push_back(middle(values));
  }
  return side;
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double squares_about_mean(std::span<const double> values) {
  const double centre = mean_of(values);
  return std::accumulate(values.begin(), values.end(), 0.0, [centre](double sum, double value) {
    return sum + (value - centre) * (value - centre);
  });
}

struct Trimmed {
  double centre;
  double variance;  ///< as of one difference: the centre's times their number
  double degrees_of_freedom;
};

Trimmed trimmed_mean(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const std::size_t count = sorted.size();
  const auto cut = static_cast<std::size_t>(kTrimmed * static_cast<double>(count));
  const std::size_t kept = count - 2 * cut;
  const double centre = mean_of(std::span(sorted).subspan(cut, kept));
  for (std::size_t i = 0; i < cut; ++i) {  // winsorised: the tails drawn in
    sorted[i] = sorted[cut];
    sorted[count - 1 - i] = sorted[count - 1 - cut];
  }
  const auto degrees = static_cast<double>(kept) - 1;
  const double squares = squares_about_mean(sorted);
  return {centre,
          degrees > 0 ? squares / (static_cast<double>(kept) * degrees) * static_cast<double>(count)
                      : 0,
          degrees};
}

/// Variance with its degrees of freedom, the run's and the calibration's together.
std::pair<double, double> pooled(double own, double own_degrees, double noise,
                                 double noise_degrees) {
  const bool calibrated = noise > 0 && noise_degrees > 0;
  if (!calibrated) {
    return {own, own_degrees};
  }
  if (own_degrees > 0 &&
      fisher_upper(own / (noise * noise), own_degrees, noise_degrees) < kNoisierLevel) {
    return {own, own_degrees};
  }
  const double degrees = own_degrees + noise_degrees;
  return {(own_degrees * own + noise_degrees * noise * noise) / degrees, degrees};
}

std::optional<Location> locate_alone(const GatePoint& point, Figure figure,
                                     const GateRules& rules) {
  const Side base = side_of(point.base_alone, figure);
  const Side head = side_of(point.head_alone, figure);
  if (base.medians.empty() || head.medians.empty()) {
    return std::nullopt;
  }
  const auto base_count = static_cast<double>(base.medians.size());
  const auto head_count = static_cast<double>(head.medians.size());
  Location found;
  found.centre = mean_of(head.medians) - mean_of(base.medians);
  found.processes = static_cast<std::int64_t>(std::min(base.medians.size(), head.medians.size()));
  found.rounds = std::min(base.rounds, head.rounds);
  found.assumed_noise = true;
  const double degrees = base_count + head_count - 2;
  const double within = std::max(base.within_ln, head.within_ln);
  // One process a side: its own error, which knows nothing of the next process.
  double variance = within * within;
  if (degrees > 0) {
    variance = (squares_about_mean(base.medians) + squares_about_mean(head.medians)) / degrees;
  }
  variance = std::max(variance, kFinestNoise_ln * kFinestNoise_ln);
  // A ratio of one process is disturbed by the session only as far as its two times differ in that.
  const double session =
      figure == Figure::ratio ? rules.assumed_noise_ln / 2 : rules.assumed_noise_ln;
  const double estimated = variance * (1 / base_count + 1 / head_count);
  const double assumed = 2 * session * session;
  found.error = std::sqrt(estimated + assumed);
  // Satterthwaite: only the estimated part is uncertain.
  found.degrees_of_freedom = degrees > 0 ? degrees * (estimated + assumed) * (estimated + assumed) /
                                               (estimated * estimated)
                                         : kInfinite;
  return found;
}

}  // namespace

std::vector<double> pair_differences(const GatePoint& point, Figure figure, bool only_confirming) {
  std::vector<double> differences;
  for (const GatePair& pair : point.pairs) {
    if (only_confirming && !pair.confirming) {
      continue;
    }
    if (const double difference = pair_difference(pair, figure); std::isfinite(difference)) {
      differences.push_back(difference);
    }
  }
  return differences;
}

std::optional<Location> locate(std::span<const double> differences, double noise_ln,
                               double noise_degrees, double assumed_noise_ln) {
  if (differences.empty()) {
    return std::nullopt;
  }
  const Trimmed own = trimmed_mean(differences);
  Location found;
  found.centre = own.centre;
  found.processes = static_cast<std::int64_t>(differences.size());
  found.paired = true;
  auto [variance, degrees] = pooled(own.variance, own.degrees_of_freedom, noise_ln, noise_degrees);
  if (degrees <= 0) {
    variance = 2 * assumed_noise_ln * assumed_noise_ln;
    degrees = kInfinite;
    found.assumed_noise = true;
  }
  variance = std::max(variance, kFinestNoise_ln * kFinestNoise_ln);
  found.error = std::sqrt(variance / static_cast<double>(differences.size()));
  found.degrees_of_freedom = degrees;
  return found;
}

std::optional<Location> locate(const GatePoint& point, Figure figure, const GateRules& rules,
                               bool only_confirming) {
  if (point.pairs.empty()) {
    return only_confirming ? std::nullopt : locate_alone(point, figure, rules);
  }
  const std::vector<double> differences = pair_differences(point, figure, only_confirming);
  const auto known = rules.calibration.find(point.key);
  const PointNoise noise = known == rules.calibration.end() ? PointNoise{} : known->second;
  auto found = locate(differences, figure == Figure::ratio ? noise.ratio_ln : noise.time_ln,
                      noise.degrees_of_freedom, rules.assumed_noise_ln);
  if (found) {
    for (const GatePair& pair : point.pairs) {
      if (!only_confirming || pair.confirming) {
        found->rounds += static_cast<std::int64_t>(std::min(pair.base.size(), pair.head.size()));
      }
    }
  }
  return found;
}

}  // namespace deformer
