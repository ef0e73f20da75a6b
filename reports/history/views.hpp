#pragma once
/// A history as tables and figures.

#include <string>
#include <vector>

#include "reports/figure.hpp"
#include "reports/history/changes.hpp"
#include "reports/history/history.hpp"
#include "reports/table.hpp"

namespace deformer {

/// What was read of a history, as the views below need it.
struct HistoryView {
  std::vector<HistoryMachine> machines;
  std::vector<HistoryRun> runs;
  std::vector<HistorySeries> series;
  std::vector<HistoryChange> changes;

  /// What a table calls a machine: "1", "2", ...
  std::string number_of(std::int64_t machine) const;
  const HistoryRun& run_of(const HistorySeries& of, std::size_t entry) const {
    return runs[of.entries[entry].run];
  }
};

/// A row for each run that add() told of.
Table added_table(const std::vector<AddedRun>& added);

/// A row for each run, the latest last.
Table history_runs_table(const HistoryView& view);

struct TrendOptions {
  bool every_figure = false;  ///< all exact figures, key and run: for csv and json
  std::size_t last = 0;       ///< only the latest so many entries of each series; 0: all
};

/// A row for each point, machine and run: median and ratio with their intervals, exact figures, and
/// what changed.
Table trend_table(const HistoryView& view, const TrendOptions& options);

/// A row for each change.
Table changes_table(const HistoryView& view);

/// The metric ("time" or "ratio") of each series against its runs, and the levels between changes;
/// series with fewer than two values are left out.
std::vector<Figure> trend_figures(const HistoryView& view, const std::string& metric);

}  // namespace deformer
