#include "reports/history/changes.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "reports/numbers.hpp"

namespace deformer {
namespace {

void find_levels(const HistorySeries& series, std::size_t index, const std::string& metric,
                 const FindChanges& what, std::vector<HistoryChange>& found,
                 std::size_t& too_small) {
  const SeriesValues values = series_values(series, metric);
  // Times multiply: 2 % is as much of a slow point as of a quick one.
  std::vector<double> logarithms;
  for (const double value : values.values) logarithms.push_back(std::log(value));
  for (const ChangePoint& point : change_points(logarithms, what.options)) {
    if (std::abs(std::expm1(point.after - point.before)) < what.smallest) {
      ++too_small;
      continue;
    }
    found.push_back({index, metric, values.entries[point.index], values.entries[point.index - 1],
                     std::exp(point.before), std::exp(point.after), point.p});
  }
}

void find_exact(const HistorySeries& series, std::size_t index, std::vector<HistoryChange>& found) {
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < series.entries.size(); ++i) {
    const ExactFigures& now = series.figures[series.entries[i].figures];
    if (now.empty() || series.entries[i].injected) continue;
    if (last && series.entries[*last].figures != series.entries[i].figures) {
      for (const auto& [name, value] : now) {
        const ExactFigures& before = series.figures[series.entries[*last].figures];
        const auto was = before.find(name);
        if (was != before.end() && was->second != value) {
          found.push_back({index, name, i, *last, was->second, value, std::nullopt});
        }
      }
    }
    last = i;
  }
}

}  // namespace

SeriesValues series_values(const HistorySeries& series, const std::string& metric) {
  SeriesValues values;
  for (std::size_t i = 0; i < series.entries.size(); ++i) {
    const HistoryEntry& entry = series.entries[i];
    const std::optional<double>& value = metric == "ratio" ? entry.ratio : entry.median_ns;
    if (!entry.is_ok() || !value || *value <= 0) continue;
    values.values.push_back(*value);
    values.entries.push_back(i);
  }
  return values;
}

std::vector<HistoryChange> find_changes(const std::vector<HistorySeries>& series,
                                        const FindChanges& what, std::size_t& too_small) {
  std::vector<HistoryChange> found;
  too_small = 0;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const auto first = static_cast<std::ptrdiff_t>(found.size());
    for (const std::string& metric : what.metrics) {
      find_levels(series[i], i, metric, what, found, too_small);
    }
    find_exact(series[i], i, found);
    std::stable_sort(found.begin() + first, found.end(),
                     [](const auto& a, const auto& b) { return a.entry < b.entry; });
  }
  return found;
}

std::string change_words(const HistoryChange& change) {
  const double factor = change.factor();
  if (!std::isfinite(factor)) return "was 0";
  if (factor == 0) return "now 0";
  const double size = factor > 1 ? factor : 1 / factor;
  const std::string text = size < 1.01 ? fmt::format("{:.4f}x", size) : human_ratio(size);
  if (change.is_exact()) return text + (factor > 1 ? " more" : " less");
  if (change.metric == "ratio") return text + (factor > 1 ? " higher" : " lower");
  return text + (factor > 1 ? " slower" : " faster");
}

}  // namespace deformer
