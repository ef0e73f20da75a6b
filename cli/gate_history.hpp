#pragma once
/// What the actions of `gate history` share.

#include <string>
#include <vector>

#include "reports/history/views.hpp"

namespace deformer::cli {

struct HistoryArguments {
  std::string action;
  std::vector<std::string> operands;
  std::string database, revision, date, filter, metric, threshold, format, out;
  std::size_t last = 0;
};

/// What was read of the history; `points`: with the series that --filter keeps. @throws BadInput.
HistoryView view_of(const HistoryArguments& arguments, bool points);
/// Fills in the changes; says on stderr how many were below --threshold.
void find_changes_of(HistoryView& view, const HistoryArguments& arguments);

/// `plot`; gate_history_plot.cpp.
int plot_history(const HistoryArguments& arguments);

}  // namespace deformer::cli
