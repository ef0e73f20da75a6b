#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/gate/case.hpp"
#include "reports/gate/figures.hpp"
#include "reports/gate/origin.hpp"
#include "reports/gate/verdict.hpp"
#include "reports/gate/words.hpp"

namespace deformer {
namespace {

/// What of a fingerprint is the machine's and not the program's: a library may be what changed.
std::map<std::string, std::string> machine_alone(std::map<std::string, std::string> deciding) {
  std::erase_if(deciding, [](const auto& entry) { return entry.first.starts_with("library "); });
  return deciding;
}

std::vector<std::string> machine_differences(const GateProgram& base, const GateProgram& head) {
  if (base.machine.empty() || head.machine.empty()) {
    return {"the machine of a side is unknown: its run file has no run line"};
  }
  const std::string text = describe_differences(machine_alone(base.machine),
                                                machine_alone(head.machine), "in base", "in head");
  return text.empty() ? std::vector<std::string>{} : std::vector<std::string>{text};
}

class Court {
 public:
  Court(const GateInput& input, const GateRules& rules) : input_(input), rules_(rules) {
    result_.machine_differences = machine_differences(input.base, input.head);
  }

  GateResult hear() {
    for (const GatePoint& point : input_.points) {
      add(point);
    }
    judge_statistics();
    for (Case& at : cases_) {
      conclude(at);
      result_.counts[static_cast<std::size_t>(at.verdict.verdict)] += 1;
      result_.points.push_back(std::move(at.verdict));
    }
    judge_program();
    conclude_whole();
    return std::move(result_);
  }

 private:
  bool same_machine() const { return result_.machine_differences.empty(); }
  /// A figure of an absolute time says nothing from one machine to another.
  bool judges_time() const {
    return same_machine() &&
           (rules_.metric == GateMetric::both || rules_.metric == GateMetric::time);
  }
  bool judges_ratio() const {
    return rules_.metric == GateMetric::ratio ||
           (same_machine() && rules_.metric == GateMetric::both);
  }

  void add(const GatePoint& point) {
    Case at{&point, {}, false, {}, {}, {}};
    PointVerdict& verdict = at.verdict;
    verdict.key = point.key;
    verdict.name = point.name;
    verdict.group = point.group;
    verdict.variant = point.variant;
    verdict.reproduce = point.reproduce;
    verdict.threshold = threshold_of(point, rules_);
    verdict.injected = injected_words(point);
    if (settle(at, result_.notes)) {
      cases_.push_back(std::move(at));
    }
  }

  std::int64_t count_tests() const {
    std::int64_t tests = 0;
    for (const Case& at : cases_) {
      const bool has_ratio = at.point->variant != "full";
      tests += at.settled ? 0 : (judges_time() ? 1 : 0) + (judges_ratio() && has_ratio ? 1 : 0);
    }
    return tests;
  }

  void judge_statistics() {
    const std::int64_t tests = count_tests();
    std::vector<FindingOfPoint> findings;
    for (Case& at : cases_) {
      if (at.settled) {
        continue;
      }
      const double threshold = at.verdict.threshold;
      const auto add_finding = [&](Finding& finding, Figure figure, bool judged) {
        finding = find(*at.point, figure, threshold, rules_, tests);
        finding.judged = judged && finding.estimate.has_value();
        findings.push_back({at.point, figure, threshold, &finding});
      };
      add_finding(at.time, Figure::time, judges_time());
      add_finding(at.ratio, Figure::ratio, judges_ratio());
      // Only to tell why a ratio moved: decided by itself, corrected for nothing.
      if (same_machine() && at.ratio.judged) {
        at.full = find(*at.point, Figure::full, threshold, rules_, 1);
        at.full.judged = at.full.estimate.has_value();
        const FindingOfPoint alone{at.point, Figure::full, threshold, &at.full};
        decide({&alone, 1}, rules_);
      }
    }
    decide(findings, rules_);
  }

  void conclude(Case& at) {
    PointVerdict& verdict = at.verdict;
    if (at.settled) {
      return;
    }
    if (rules_.metric == GateMetric::exact) {
      verdict.verdict = Verdict::pass;
      verdict.words = "only exact figures are judged";
    } else if (!same_machine() && rules_.metric != GateMetric::ratio) {
      verdict.verdict = Verdict::incomparable;
      verdict.ratio = at.ratio.estimate;
      verdict.judged_by_ratio = true;
      verdict.words = "measured on different machines: times do not compare";
      if (verdict.ratio) {
        verdict.words += "; against full, " + estimate_words(*verdict.ratio);
      }
    } else if (rules_.metric == GateMetric::ratio && !at.ratio.estimate) {
      verdict.verdict = Verdict::pass;
      verdict.judged_by_ratio = true;
      verdict.words = "has no ratio to full: only exact figures are judged";
    } else {
      ++judged_;
      weigh(at, rules_);
    }
    judge_figures(at);
    judge_counting(at);
    explain(at);
  }

  void judge_figures(Case& at) {
    PointVerdict& verdict = at.verdict;
    const bool same_isa = at.point->base.isa == at.point->head.isa && !at.point->base.isa.empty();
    FiguresCompared compared =
        compare_figures(at.point->base.figures, at.point->head.figures,
                        {.isa = same_isa, .machine = same_machine()}, rules_);
    judged_ += rules_.metric == GateMetric::exact && compared.any() ? 1 : 0;
    verdict.figures_same = compared.same;
    verdict.figures_not_compared = compared.not_compared;
    std::string worse;
    for (const FigureChange& change : compared.changes) {
      if (change.verdict == Verdict::regressed || change.verdict == Verdict::ambiguous) {
        worse += (worse.empty() ? "" : ", ") + figure_words(change);
      }
      verdict.verdict = std::min(verdict.verdict, change.verdict);
    }
    for (const std::string& note : compared.notes) {
      result_.notes.push_back(fmt::format("{}: {}", verdict.name, note));
    }
    verdict.figures = std::move(compared.changes);
    if (!worse.empty()) {
      verdict.words = worse + (verdict.words.empty() ? "" : "; ") + verdict.words;
    }
  }

  /// A count that was asked for and can't be had does not pass, whatever the times say.
  void judge_counting(Case& at) {
    const GateSide& base = at.point->base;
    const GateSide& head = at.point->head;
    std::string words;
    for (const auto& [name, side] : {std::pair{"base", &base}, {"head", &head}}) {
      const std::string& other = side == &base ? head.count_status : base.count_status;
      const bool left_out = side->count_status.empty() && other == "ok";
      if (side->count_status == "ok" || (side->count_status.empty() && !left_out)) {
        continue;
      }
      at.verdict.verdict = std::min(at.verdict.verdict,
                                    side->count_status == "invalid"        ? Verdict::invalid
                                    : side->count_status == "incomparable" ? Verdict::incomparable
                                                                           : Verdict::missing);
      words += fmt::format("instructions of {} were not counted: {}; ", name,
                           left_out ? "its records hold none" : side->count_reason);
    }
    at.verdict.words = words + at.verdict.words;
  }

  /// Where it comes from, and what a reader must know of the sides.
  void explain(Case& at) {
    PointVerdict& verdict = at.verdict;
    const auto moved = [](const Finding& finding) {
      return finding.judged && (finding.suspected || finding.verdict == Verdict::regressed ||
                                finding.verdict == Verdict::improved);
    };
    const bool changed = moved(at.time) || moved(at.ratio);
    if (changed && at.point->base.ranges.is_object() && at.point->head.ranges.is_object()) {
      verdict.attribution = attribute(at.point->base.ranges, at.point->head.ranges);
    }
    if (verdict.attribution) {
      const Origin origin = origin_of(*verdict.attribution);
      verdict.where = origin.where;
      verdict.where_level = origin.level;
      verdict.words += origin.where.empty() ? "; no range stands out" : ", from " + origin.where;
    }
    if (at.point->base.unchecked || at.point->head.unchecked) {
      verdict.words += "; parity was not checked";
    }
    if (!verdict.injected.empty()) {
      verdict.words += "; NOT A MEASUREMENT: a slowdown was planted, " + verdict.injected;
    }
  }

  void judge_program() {
    FiguresCompared compared =
        compare_figures(input_.base.figures, input_.head.figures,
                        {.isa = same_machine(), .machine = same_machine()}, rules_);
    result_.figures = std::move(compared.changes);
  }

  void conclude_whole() {
    Verdict worst = Verdict::pass;
    for (const PointVerdict& point : result_.points) {
      worst = std::min(worst, point.verdict);
    }
    for (const FigureChange& change : result_.figures) {
      worst = std::min(worst, change.verdict);
    }
    const bool nothing = judged_ == 0 && worst >= Verdict::ambiguous;
    if (nothing || input_.base.unfinished || input_.head.unfinished) {
      worst = std::min(worst, Verdict::missing);
    }
    result_.verdict = worst;
    result_.words = whole_words(nothing);
    for (const std::string& difference : result_.machine_differences) {
      result_.notes.push_back("machines differ: " + difference);
    }
  }

  std::string whole_words(bool nothing) const {
    std::string unfinished;
    for (const auto& [name, side] : {std::pair{"base", &input_.base}, {"head", &input_.head}}) {
      if (side->unfinished) {
        unfinished += fmt::format(
            "the run of {} did not finish (no end line), what it left out is unknown; ", name);
      }
    }
    if (nothing) {
      return unfinished + (result_.points.empty() ? "no point was measured on both sides"
                                                  : "no point could be judged");
    }
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < result_.counts.size(); ++i) {
      if (result_.counts[i] > 0) {
        parts.push_back(
            fmt::format("{} {}", result_.counts[i], verdict_name(static_cast<Verdict>(i))));
      }
    }
    const std::size_t points = result_.points.size();
    return fmt::format("{}{} point{}: {}", unfinished, points, points == 1 ? "" : "s",
                       fmt::join(parts, ", "));
  }

  const GateInput& input_;
  const GateRules& rules_;
  GateResult result_;
  std::vector<Case> cases_;
  std::int64_t judged_ = 0;
};

void refuse_identical(const GateInput& input) {
  if (!input.identical_allowed && !input.base.build.empty() &&
      input.base.build == input.head.build) {
    throw BadInput(
        fmt::format("expected two builds, found build {} on both sides ({} and {}): a gate of a "
                    "program against "
                    "itself can only pass; give another build, or --aa when that is meant",
                    input.base.build, input.base.name, input.head.name));
  }
}

}  // namespace

GateResult judge(const GateInput& input, const GateRules& rules) {
  refuse_identical(input);
  return Court(input, rules).hear();
}

}  // namespace deformer
