#pragma once
/// What changed in a history: levels of time and ratio (found by change_points), and figures that
/// repeat exactly, where any difference is a change.

#include <optional>
#include <string>
#include <vector>

#include "reports/history/change_points.hpp"
#include "reports/history/history.hpp"

namespace deformer {

struct HistoryChange {
  std::size_t series = 0;
  std::string metric;       ///< "time", "ratio", or the name of an exact figure
  std::size_t entry = 0;    ///< in the series: the first run that shows it
  std::size_t before = 0;   ///< in the series: the last run that does not
  double from = 0, to = 0;  ///< medians of the levels before and after, or the two figures
  std::optional<double> p;  ///< nothing for an exact figure

  double factor() const { return to / from; }  ///< of an exact figure that was 0: infinite
  bool is_exact() const { return !p.has_value(); }
};

/// Values of time ("time": median_ns) or of the ratio ("ratio") of entries that are ok, and which
/// entries they are.
struct SeriesValues {
  std::vector<double> values;
  std::vector<std::size_t> entries;
};
SeriesValues series_values(const HistorySeries& series, const std::string& metric);

struct FindChanges {
  std::vector<std::string> metrics = {"time", "ratio"};  ///< searched; exact figures always are
  double smallest = 0.01;  ///< levels that differ by less (0.01: 1 %) are not worth a row
  ChangePointOptions options = {};
};

/// By series, then in the order of time. `too_small`: how many were left out for being smaller than
/// `smallest`.
std::vector<HistoryChange> find_changes(const std::vector<HistorySeries>& series,
                                        const FindChanges& what, std::size_t& too_small);

/// "1.05x slower", "1.03x faster"; of a ratio "higher", "lower"; of an exact figure "more", "less".
std::string change_words(const HistoryChange& change);

}  // namespace deformer
