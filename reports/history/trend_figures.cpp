/// A history as figures.

#include <fmt/format.h>

#include <utility>

#include "profilers/statistics.hpp"
#include "reports/history/views.hpp"

namespace deformer {
namespace {

/// The unit in which times of about this size read best, and its length in ns.
std::pair<const char*, double> time_unit(double ns) {
  if (ns < 1e3) return {"ns", 1};
  if (ns < 1e6) return {"us", 1e3};
  return ns < 1e9 ? std::pair{"ms", 1e6} : std::pair{"s", 1e9};
}

Series measured_series(const HistorySeries& series, const SeriesValues& values, bool time,
                       double scale) {
  Series measured{time ? "median" : "speedup", {}, false};
  for (std::size_t i = 0; i < values.values.size(); ++i) {
    const HistoryEntry& entry = series.entries[values.entries[i]];
    FigurePoint point{static_cast<double>(i + 1), values.values[i] / scale, {}, {}};
    const auto& low = time ? entry.ci_low_ns : entry.ratio_low;
    const auto& high = time ? entry.ci_high_ns : entry.ratio_high;
    if (low && high) {
      point.low = *low / scale;
      point.high = *high / scale;
    }
    measured.points.push_back(point);
  }
  return measured;
}

/// @pre changes, in the order of time.
Series level_series(const SeriesValues& values, const std::vector<const HistoryChange*>& changes,
                    double scale) {
  Series level{"level between changes", {}, true};
  double current = changes.front()->from;
  std::size_t next = 0;
  for (std::size_t i = 0; i < values.values.size(); ++i) {
    if (next < changes.size() && values.entries[i] == changes[next]->entry) {
      current = changes[next++]->to;
    }
    level.points.push_back({static_cast<double>(i + 1), current / scale, {}, {}});
  }
  return level;
}

}  // namespace

std::vector<Figure> trend_figures(const HistoryView& view, const std::string& metric) {
  const bool time = metric == "time";
  std::vector<Figure> figures;
  for (std::size_t s = 0; s < view.series.size(); ++s) {
    const HistorySeries& series = view.series[s];
    const SeriesValues values = series_values(series, metric);
    if (values.values.size() < 2) continue;
    const auto [unit, length_ns] = time_unit(median(values.values).value_or(0));
    const double scale = time ? length_ns : 1;
    Figure figure{fmt::format("{}, machine {}", series.name, view.number_of(series.machine)),
                  "run",
                  time ? fmt::format("median, {}", unit) : "speedup",
                  {},
                  false};
    figure.series.push_back(measured_series(series, values, time, scale));
    std::vector<const HistoryChange*> changes;
    for (const HistoryChange& change : view.changes) {
      if (change.series == s && change.metric == metric) changes.push_back(&change);
    }
    if (!changes.empty()) figure.series.push_back(level_series(values, changes, scale));
    for (const HistoryChange* change : changes) {
      figure.series.push_back(
          {fmt::format("since {}: {}", view.run_of(series, change->entry).revision,
                       change_words(*change)),
           {},
           true});
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace deformer
