#include "reports/gate/output.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "reports/gate/figures.hpp"
#include "reports/gate/words.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json estimate_json(const std::optional<Estimate>& estimate, Verdict verdict) {
  if (!estimate) {
    return nullptr;
  }
  return {{"verdict", verdict_name(verdict)},
          {"ratio", estimate->ratio},
          {"ci_low", estimate->ci_low},
          {"ci_high", estimate->ci_high},
          {"p_slower", estimate->p_slower},
          {"p_faster", estimate->p_faster},
          {"smallest_effect", estimate->smallest_effect},
          {"processes", estimate->processes},
          {"rounds", estimate->rounds},
          {"paired", estimate->paired},
          {"assumed_noise", estimate->assumed_noise}};
}

Json figures_json(const std::vector<FigureChange>& figures) {
  Json list = Json::array();
  for (const FigureChange& change : figures) {
    list.push_back({{"name", change.name},
                    {"unit", change.unit},
                    {"tier", change.counted ? "counted" : "exact"},
                    {"base", change.base},
                    {"head", change.head},
                    {"ratio", change.base > 0 ? Json(change.head / change.base) : Json(nullptr)},
                    {"threshold", change.threshold},
                    {"verdict", verdict_name(change.verdict)},
                    {"noise", change.noise > 0 ? Json(change.noise) : Json(nullptr)},
                    {"counted_as", or_null(change.counted_as)},
                    {"where", or_null(change.where)}});
  }
  return list;
}

bool alarming(Verdict verdict) {
  return exit_code(verdict) != 0;
}

std::string heading(const GateResult& result) {
  return fmt::format("gate: {}", verdict_name(result.verdict));
}

std::vector<const PointVerdict*> worst_first(const GateResult& result) {
  std::vector<const PointVerdict*> points;
  for (const PointVerdict& point : result.points) {
    points.push_back(&point);
  }
  std::ranges::stable_sort(points, {}, [](const PointVerdict* point) { return point->verdict; });
  return points;
}

}  // namespace

Table gate_table(const GateResult& result) {
  Table table;
  table.title = fmt::format("{}: {}", heading(result), result.words);
  table.columns = {
      {"verdict", "verdict", "", "What the gate says of the point", true},
      {"name", "point", "", "Name of the point", true},
      {"ratio", "head/base", "x", "Above 1: head is slower, or worse against full"},
      {"ci_low", "low", "x", "Low end of its interval"},
      {"ci_high", "high", "x", "High end of its interval"},
      {"threshold", "threshold", "", "A slowdown of this much must be caught"},
      {"smallest_effect", "could see", "", "Smallest slowdown this run would have called"},
      {"where", "where", "", "Phase, layer or operation it comes from", true},
      {"words", "why", "", "What was found", true, Hint::text, Better::neither, 1},
  };
  for (const PointVerdict* point : worst_first(result)) {
    const std::optional<Estimate>& shown = point->shown();
    const auto number = [](double value, std::string text) { return Cell::number(value, text); };
    const auto ratio = [&](double value) { return number(value, fmt::format("{:.3f}", value)); };
    table.rows.push_back(
        {verdict_name(point->verdict), point->name, shown ? ratio(shown->ratio) : Cell(),
         shown ? ratio(shown->ci_low) : Cell(), shown ? ratio(shown->ci_high) : Cell(),
         number(point->threshold, percent_words(point->threshold)),
         shown ? number(shown->smallest_effect, percent_words(shown->smallest_effect)) : Cell(),
         point->where.empty() ? Cell() : Cell(point->where), point->words});
  }
  for (const PointVerdict* point : worst_first(result)) {
    for (const FigureChange& change : point->figures) {
      table.notes.push_back(fmt::format("{}: {}: {}", point->name, verdict_name(change.verdict),
                                        figure_words(change)));
    }
    if (alarming(point->verdict) && !point->reproduce.empty()) {
      table.commands.push_back(point->reproduce);
    }
  }
  for (const FigureChange& change : result.figures) {
    table.notes.push_back(
        fmt::format("program: {}: {}", verdict_name(change.verdict), figure_words(change)));
  }
  table.notes.insert(table.notes.end(), result.notes.begin(), result.notes.end());
  return table;
}

std::string gate_line(const GateResult& result) {
  std::string line = fmt::format("{}: {}", heading(result), result.words);
  const auto points = worst_first(result);
  if (!points.empty() && points.front()->verdict == result.verdict &&
      result.verdict != Verdict::pass) {
    line += fmt::format("; {}: {}", points.front()->name, points.front()->words);
  } else if (!result.figures.empty() && result.verdict == Verdict::regressed) {
    line += "; program: " + figure_words(result.figures.front());
  } else if (result.verdict == Verdict::pass) {
    double largest = 0;
    for (const PointVerdict& point : result.points) {
      largest = std::max(largest, point.shown() ? point.shown()->smallest_effect : 0);
    }
    if (largest > 0) {
      line += fmt::format("; a slowdown of {} of any point would have been seen",
                          percent_words(largest));
    }
  }
  return one_line(line);
}

Json gate_row_json(const PointVerdict& point) {
  const std::optional<Estimate>& shown = point.shown();
  const auto of_shown = [&shown](double Estimate::*member) {
    return shown ? Json((*shown).*member) : Json(nullptr);
  };
  Json row;
  row["key"] = point.key;
  row["group"] = point.group;
  row["name"] = point.name;
  row["verdict"] = verdict_name(point.verdict);
  row["ratio"] = of_shown(&Estimate::ratio);
  row["ci_low"] = of_shown(&Estimate::ci_low);
  row["ci_high"] = of_shown(&Estimate::ci_high);
  row["threshold"] = point.threshold;
  row["smallest_effect"] = of_shown(&Estimate::smallest_effect);
  row["where"] = or_null(point.where);
  row["where_level"] = or_null(point.where_level);
  row["words"] = point.words;
  row["metric"] = point.judged_by_ratio ? "ratio" : "time";
  row["suspected"] = point.suspected;
  row["time"] = estimate_json(point.time, point.time_verdict);
  row["versus_full"] = estimate_json(point.ratio, point.ratio_verdict);
  row["figures"] = figures_json(point.figures);
  row["figures_same"] = point.figures_same;
  row["figures_not_compared"] = point.figures_not_compared;
  row["attribution"] = point.attribution ? attribution_json(*point.attribution) : Json(nullptr);
  row["injected"] = or_null(point.injected);
  row["reproduce"] = or_null(point.reproduce);
  return row;
}

Json gate_summary_json(const GateResult& result) {
  Json counts;
  for (std::size_t i = 0; i < result.counts.size(); ++i) {
    counts[std::string(verdict_name(static_cast<Verdict>(i)))] = result.counts[i];
  }
  return {{"verdict", verdict_name(result.verdict)},
          {"exit_code", result.exit_code()},
          {"words", result.words},
          {"line", gate_line(result)},
          {"counts", counts},
          {"figures", figures_json(result.figures)},
          {"machine_differences", result.machine_differences},
          {"notes", result.notes}};
}

}  // namespace deformer
