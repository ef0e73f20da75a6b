#include "reports/gate/figures.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "reports/numbers.hpp"

namespace deformer {
namespace {

double threshold_of(const ExactFigure& figure, const GateRules& rules) {
  if (const auto given = rules.figure_thresholds.find(figure.name);
      given != rules.figure_thresholds.end()) {
    return given->second;
  }
  constexpr double kBinaryThreshold = 0.01;
  return figure.counted                  ? rules.counted_threshold
         : figure.name == "binary_bytes" ? kBinaryThreshold
                                         : 0;
}

FigureChange change_of(const ExactFigure& base, const ExactFigure& head, const GateRules& rules) {
  FigureChange change;
  change.name = base.name;
  change.unit = base.unit;
  change.counted = base.counted;
  change.base = base.value;
  change.head = head.value;
  change.threshold = threshold_of(base, rules);
  const double allowed = change.threshold * base.value;
  change.verdict = head.value > base.value + allowed   ? Verdict::regressed
                   : head.value < base.value - allowed ? Verdict::improved
                                                       : Verdict::pass;
  return change;
}

}  // namespace

FiguresCompared compare_figures(const std::vector<ExactFigure>& base,
                                const std::vector<ExactFigure>& head, bool same_isa,
                                const GateRules& rules) {
  FiguresCompared result;
  std::int64_t paired = 0;
  for (const ExactFigure& figure : base) {
    const auto other = std::ranges::find(head, figure.name, &ExactFigure::name);
    if (other == head.end()) {
      ++result.not_compared;
      continue;
    }
    ++paired;
    if (!same_isa && (figure.depends_on_isa || other->depends_on_isa)) {
      ++result.not_compared;
    } else if (figure.value == other->value) {
      ++result.same;
    } else {
      result.changes.push_back(change_of(figure, *other, rules));
    }
  }
  result.not_compared += static_cast<std::int64_t>(head.size()) - paired;
  return result;
}

std::string figure_words(const FigureChange& change) {
  const auto shown = [&change](double value) {
    return change.unit == "bytes"  ? human_bytes(value)
           : change.unit == "FLOP" ? human_flops(value)
                                   : exact_number(value);
  };
  std::string before = shown(change.base);
  std::string after = shown(change.head);
  if (before == after) {  // a change below three digits is a change
    before = exact_number(change.base);
    after = exact_number(change.head);
  }
  const std::string share =
      change.base > 0 ? fmt::format(" ({:+.3g} %)", 100 * (change.head / change.base - 1)) : "";
  return fmt::format("{} {} -> {}{}", change.name, before, after, share);
}

}  // namespace deformer
