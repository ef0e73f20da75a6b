// A look at a gate that is under way.

#include <algorithm>
#include <array>

#include "reports/gate/decision.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer {
namespace {

bool full_got_faster(const GatePoint& point, double threshold, const GateRules& rules) {
  Finding full = find(point, Figure::full, threshold, rules, 1);
  full.judged = full.estimate.has_value();
  const FindingOfPoint alone{&point, Figure::full, threshold, &full};
  decide({&alone, 1}, rules);
  return full.verdict == Verdict::improved;
}

}  // namespace

Progress look_at(const GatePoint& point, const GateRules& rules, std::int64_t tests) {
  const double threshold = threshold_of(point, rules);
  const std::int64_t own = point.variant == "full" ? 1 : 2;
  const std::int64_t family = std::max(tests, own);
  Finding time = find(point, Figure::time, threshold, rules, family);
  Finding ratio = find(point, Figure::ratio, threshold, rules, family);
  time.judged = time.estimate && rules.metric != GateMetric::ratio;
  ratio.judged = ratio.estimate && rules.metric != GateMetric::time;
  const std::array findings = {FindingOfPoint{&point, Figure::time, threshold, &time},
                               FindingOfPoint{&point, Figure::ratio, threshold, &ratio}};
  decide(findings, rules, family);
  // What a faster full does to the ratio is no regression: nothing to confirm (as weigh has it).
  if (ratio.judged && rules.metric == GateMetric::both &&
      full_got_faster(point, threshold, rules)) {
    ratio.suspected = false;
    ratio.verdict = std::max(ratio.verdict, Verdict::ambiguous);
  }
  Progress progress;
  progress.time = time.estimate;
  progress.ratio = ratio.estimate;
  const Finding& leading = rules.metric == GateMetric::ratio ? ratio : time;
  progress.verdict = leading.verdict;
  if (ratio.judged && (ratio.verdict == Verdict::regressed || ratio.suspected)) {
    progress.verdict = std::min(progress.verdict, ratio.verdict);
  }
  progress.suspected = (time.judged && time.suspected) || (ratio.judged && ratio.suspected);
  const bool promising = progress.verdict == Verdict::pass && leading.estimate &&
                         may_be_improved(*leading.estimate, threshold);
  progress.decided = progress.verdict != Verdict::ambiguous && !progress.suspected && !promising;
  return progress;
}

}  // namespace deformer
