#include "reports/gate/decision.hpp"

#include <algorithm>
#include <cmath>

#include "reports/gate/distributions.hpp"

namespace deformer {
namespace {

/// The fresh processes alone must show a slowdown at this one-sided level: they were not chosen for
/// looking slow, so they need no more than that.
constexpr double kConfirmLevel = 0.05;

bool excludes_threshold(const Estimate& estimate, double threshold) {
  return estimate.ci_high < 1 + threshold;
}

enum class Confirmation { absent, confirmed, contradicted, open };

Confirmation confirmation(const FindingOfPoint& at, const GateRules& rules) {
  const auto fresh = locate(*at.point, at.figure, rules, true);
  if (!fresh) {
    return Confirmation::absent;
  }
  const double margin = std::log1p(at.threshold) / 2;
  const double p_none = student_upper(fresh->centre / fresh->error, fresh->degrees_of_freedom);
  if (fresh->centre >= margin && p_none <= kConfirmLevel) {
    return Confirmation::confirmed;
  }
  return excludes_threshold(estimate(*fresh, at.threshold, rules, 1), at.threshold)
             ? Confirmation::contradicted
             : Confirmation::open;
}

void decide_slower(const FindingOfPoint& at, const GateRules& rules) {
  Finding& finding = *at.finding;
  if (!rules.confirm) {
    finding.verdict = Verdict::regressed;
    return;
  }
  const Confirmation fresh = confirmation(at, rules);
  finding.cleared = fresh == Confirmation::contradicted;
  finding.suspected = fresh == Confirmation::absent || fresh == Confirmation::open;
  finding.verdict = fresh == Confirmation::confirmed ? Verdict::regressed
                    : finding.cleared                ? Verdict::pass
                                                     : Verdict::ambiguous;
}

}  // namespace

bool may_be_improved(const Estimate& estimate, double threshold) {
  const double line = 1 / std::sqrt(1 + threshold);
  return estimate.ratio < line && estimate.ci_low < 1 / (1 + threshold);
}

double threshold_of(const GatePoint& point, const GateRules& rules) {
  const auto known = rules.calibration.find(point.key);
  const bool calibrated =
      !rules.threshold_given && known != rules.calibration.end() && known->second.threshold > 0;
  return calibrated ? known->second.threshold : rules.threshold;
}

Finding find(const GatePoint& point, Figure figure, double threshold, const GateRules& rules,
             std::int64_t tests) {
  Finding finding;
  finding.location = locate(point, figure, rules);
  if (finding.location) {
    finding.estimate = estimate(*finding.location, threshold, rules, tests);
    finding.too_few = finding.estimate->rounds < rules.minimum_rounds;
  }
  return finding;
}

void decide(std::span<const FindingOfPoint> findings, const GateRules& rules, std::int64_t family) {
  std::vector<const FindingOfPoint*> judged;
  std::vector<double> slower;
  std::vector<double> faster;
  for (const FindingOfPoint& at : findings) {
    if (at.finding->judged && at.finding->estimate && !at.finding->too_few) {
      judged.push_back(&at);
      slower.push_back(at.finding->estimate->p_slower);
      faster.push_back(at.finding->estimate->p_faster);
    }
  }
  const std::vector<bool> is_slower = rejected(slower, alarm_level(rules, rules.confirm), family);
  const std::vector<bool> is_faster = rejected(faster, alarm_level(rules, false), family);
  for (std::size_t i = 0; i < judged.size(); ++i) {
    const FindingOfPoint& at = *judged[i];
    if (is_slower[i]) {
      decide_slower(at, rules);
    } else if (is_faster[i]) {
      at.finding->verdict = Verdict::improved;
    } else if (excludes_threshold(*at.finding->estimate, at.threshold)) {
      at.finding->verdict = Verdict::pass;
    }
  }
}

}  // namespace deformer
