#include "reports/gate/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "reports/gate/distributions.hpp"

namespace deformer {
namespace {

/// The power that smallest_effect speaks of.
constexpr double kPower = 0.95;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// Two processes have intervals wide beyond all numbers: kept finite, so that JSON can hold them.
double bounded_exp(double ln) {
  constexpr double kWidest_ln = 200;
  return std::exp(std::clamp(ln, -kWidest_ln, kWidest_ln));
}

/// Standard errors between a hypothesis and a truth that a one-sided t test of this level rejects
/// it for with power kPower, the error being estimated too: the non-central t distribution's
/// approximation in Abramowitz and Stegun, 26.7.10.
double reach(double level, double degrees) {
  const double t = student_quantile(1 - level, degrees);
  const double z = student_quantile(kPower, kInfinite);
  return t * (1 - 1 / (4 * degrees)) + z * std::sqrt(1 + t * t / (2 * degrees));
}

}  // namespace

double alarm_level(const GateRules& rules, bool confirmed_later) {
  constexpr double kUnconfirmed = 0.2;
  const double tail = (1 - rules.confidence) / 2 / std::max(1, rules.looks);
  return confirmed_later ? tail : tail * kUnconfirmed;
}

Estimate estimate(const Location& location, double threshold, const GateRules& rules,
                  std::int64_t tests) {
  const double tail = alarm_level(rules, true);
  const double degrees = location.degrees_of_freedom;
  const double half_width = student_quantile(1 - tail, degrees) * location.error;
  const double margin = std::log1p(threshold) / 2;
  Estimate result;
  result.ratio = bounded_exp(location.centre);
  result.ci_low = bounded_exp(location.centre - half_width);
  result.ci_high = bounded_exp(location.centre + half_width);
  result.p_slower = student_upper((location.centre - margin) / location.error, degrees);
  result.p_faster = student_upper((-location.centre - margin) / location.error, degrees);
  const double strict =
      alarm_level(rules, rules.confirm) / static_cast<double>(std::max<std::int64_t>(1, tests));
  result.smallest_effect = bounded_exp(margin + reach(strict, degrees) * location.error) - 1;
  result.processes = location.processes;
  result.rounds = location.rounds;
  result.paired = location.paired;
  result.assumed_noise = location.assumed_noise;
  return result;
}

std::vector<bool> rejected(std::span<const double> p_values, double rate, std::int64_t family) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return p_values[i]; });
  std::vector<bool> result(p_values.size(), false);
  const double tests =
      static_cast<double>(std::max(family, static_cast<std::int64_t>(p_values.size())));
  for (std::size_t rank = order.size(); rank > 0; --rank) {
    const double limit = rate * static_cast<double>(rank) / tests;
    if (p_values[order[rank - 1]] <= limit) {
      for (std::size_t i = 0; i < rank; ++i) {
        result[order[i]] = true;
      }
      break;
    }
  }
  return result;
}

}  // namespace deformer
