#include "reports/gate/case.hpp"

#include <utility>

#include <fmt/format.h>

#include "reports/gate/words.hpp"

namespace deformer {
namespace {

std::string with_reason(const GateSide& side) {
  return side.reason.empty() ? side.status : fmt::format("{}: {}", side.status, side.reason);
}

}  // namespace

std::string injected_words(const GatePoint& point) {
  std::string text;
  for (const auto& [name, side] : {std::pair{"base", &point.base}, {"head", &point.head}}) {
    if (!side->injected.empty()) {
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, side->injected);
    }
  }
  return text;
}

bool settle(Case& at, std::vector<std::string>& notes) {
  const GatePoint& point = *at.point;
  const auto settled = [&at](Verdict verdict, std::string words) {
    at.settled = true;
    at.verdict.verdict = verdict;
    at.verdict.words = std::move(words);
    return true;
  };
  for (const auto& [name, side] : {std::pair{"head", &point.head}, {"base", &point.base}}) {
    if (side->status == "invalid") {
      return settled(Verdict::invalid, fmt::format("{} is {}", name, with_reason(*side)));
    }
  }
  if (point.base.status == "skipped" && point.head.status == "skipped") {
    notes.push_back(
        fmt::format("{}: not judged, skipped on both sides: {}", point.name, point.head.reason));
    return false;
  }
  if (point.base.status == "absent") {
    notes.push_back(fmt::format("{}: not judged, only head has it", point.name));
    return false;
  }
  if (point.head.status == "absent") {
    return settled(Verdict::missing, "base has it, head does not: removed or renamed?");
  }
  for (const auto& [name, side] : {std::pair{"head", &point.head}, {"base", &point.base}}) {
    if (side->status != "ok") {
      return settled(Verdict::missing, fmt::format("{} is {}", name, with_reason(*side)));
    }
  }
  return true;
}

void weigh(Case& at, const GateRules& rules) {
  PointVerdict& verdict = at.verdict;
  verdict.time = at.time.estimate;
  verdict.ratio = at.ratio.estimate;
  verdict.time_verdict = at.time.verdict;
  verdict.ratio_verdict = at.ratio.verdict;
  const bool only_ratio = rules.metric == GateMetric::ratio;
  const bool full_faster = at.full.judged && at.full.verdict == Verdict::improved;
  const bool full_slower = at.full.judged && at.full.verdict == Verdict::regressed;
  const std::string of_time = finding_words(at.time, verdict.threshold, rules);
  const std::string of_ratio = "against full, " + finding_words(at.ratio, verdict.threshold, rules);
  verdict.judged_by_ratio = only_ratio;
  verdict.verdict = only_ratio ? at.ratio.verdict : at.time.verdict;
  verdict.words = only_ratio ? of_ratio : of_time;
  verdict.suspected = (only_ratio ? at.ratio : at.time).suspected;
  if (!at.ratio.judged) {
    return;
  }
  if (at.ratio.verdict == Verdict::improved && full_slower) {
    verdict.judged_by_ratio = only_ratio || verdict.verdict != Verdict::regressed;
    verdict.verdict = Verdict::regressed;
    verdict.words = fmt::format("the ratio is better only because full got slower: full is {}",
                                estimate_words(*at.full.estimate));
    return;
  }
  const bool ratio_worse = at.ratio.verdict == Verdict::regressed || at.ratio.suspected;
  if (only_ratio || !ratio_worse || verdict.verdict == Verdict::regressed) {
    return;
  }
  if (full_faster) {
    verdict.words += fmt::format("; the ratio fell because full got faster: full is {}",
                                 estimate_words(*at.full.estimate));
    return;
  }
  verdict.judged_by_ratio = true;
  verdict.verdict = std::min(verdict.verdict, at.ratio.verdict);
  verdict.suspected = at.ratio.suspected;
  verdict.words = of_ratio;
}

}  // namespace deformer
