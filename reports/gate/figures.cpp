#include "reports/gate/figures.hpp"

#include <algorithm>
#include <map>
#include <string>

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
  return figure.simulated                ? rules.simulated_threshold
         : figure.counted                ? rules.counted_threshold
         : figure.name == "binary_bytes" ? kBinaryThreshold
                                         : 0;
}

/// Last part of the paths: "ffn1" of all layers together.
std::map<std::string, double> by_operation(const std::map<std::string, double>& of_ranges) {
  std::map<std::string, double> sums;
  for (const auto& [path, count] : of_ranges) {
    const std::size_t slash = path.rfind('/');
    sums[slash == std::string::npos ? path : path.substr(slash + 1)] += count;
  }
  return sums;
}

/// The operation that changed most in the direction of the whole; empty where that is unknown.
std::string operation_of_change(const ExactFigure& base, const ExactFigure& head) {
  std::map<std::string, double> change = by_operation(head.of_ranges);
  for (const auto& [name, count] : by_operation(base.of_ranges)) {
    change[name] -= count;
  }
  const double sign = head.value > base.value ? 1 : -1;
  const auto most = std::ranges::max_element(
      change, {}, [sign](const auto& entry) { return sign * entry.second; });
  return base.of_ranges.empty() || head.of_ranges.empty() || head.value == base.value ? ""
                                                                                      : most->first;
}

/// What the processes of a side differ by.
double spread_of(const ExactFigure& figure) {
  return figure.value > 0 ? (figure.high - figure.low) / figure.value : 0;
}

FigureChange change_of(const ExactFigure& base, const ExactFigure& head, const GateRules& rules) {
  FigureChange change;
  change.name = base.name;
  change.unit = base.unit;
  change.counted = base.counted;
  change.base = base.value;
  change.head = head.value;
  change.threshold = threshold_of(base, rules);
  change.counted_as = base.counted_as;
  change.where = operation_of_change(base, head);
  change.noise = std::max(spread_of(base), spread_of(head));
  const double allowed = change.threshold * base.value;
  const bool more = head.value > base.value + allowed;
  const bool less = head.value < base.value - allowed;
  const bool overlap = change.noise > 0 && head.low <= base.high && base.low <= head.high;
  change.verdict = (more || less) && overlap ? Verdict::ambiguous
                   : more                    ? Verdict::regressed
                   : less                    ? Verdict::improved
                                             : Verdict::pass;
  return change;
}

}  // namespace

FiguresCompared compare_figures(const std::vector<ExactFigure>& base,
                                const std::vector<ExactFigure>& head, const SidesAlike& same,
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
    if (figure.counted_as != other->counted_as) {
      ++result.not_compared;
      result.notes.push_back(fmt::format("{} not compared: counted by {} in base, {} in head",
                                         figure.name,
                                         figure.counted_as.empty() ? "?" : figure.counted_as,
                                         other->counted_as.empty() ? "?" : other->counted_as));
    } else if (!same.isa && (figure.depends_on_isa || other->depends_on_isa)) {
      ++result.not_compared;
    } else if (figure.counted && !figure.counted_as.empty() && !figure.simulated && !same.machine) {
      ++result.not_compared;
      result.notes.push_back(
          fmt::format("{} not compared: counted by the processors of two machines", figure.name));
    } else if (figure.value == other->value && !figure.counted) {
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
  const std::string where = change.where.empty() || change.verdict == Verdict::pass
                                ? ""
                                : ", most of it in " + change.where;
  const std::string by = change.counted_as.empty() ? "" : fmt::format(" by {}", change.counted_as);
  const std::string noise =
      change.noise > 0 ? fmt::format(", processes differ by {:.2g} %{}", 100 * change.noise,
                                     change.verdict == Verdict::ambiguous ? ": not told apart" : "")
                       : "";
  return fmt::format("{} {} -> {}{}{}{}{}", change.name, before, after, share, where, by, noise);
}

}  // namespace deformer
