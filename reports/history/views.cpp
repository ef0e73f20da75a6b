#include "reports/history/views.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "reports/fields.hpp"
#include "reports/numbers.hpp"

namespace deformer {
namespace {

/// Which machine each number stands for.
void add_machine_notes(const HistoryView& view, Table& table) {
  for (std::size_t i = 0; i < view.machines.size(); ++i) {
    const HistoryMachine& machine = view.machines[i];
    const bool shown = std::ranges::any_of(
        view.runs, [&](const HistoryRun& run) { return run.machine == machine.id; });
    if (!shown) continue;
    const auto cores = number_field(machine.body, "cores");
    table.notes.push_back(fmt::format("machine {}: {}{}", i + 1, machine.cpu_model,
                                      cores ? fmt::format(", {} cores", *cores) : ""));
  }
}

std::string date_of(std::int64_t at) {
  return instant_text(at).substr(0, 16);
}

const char* state_words(AddedRun::State state) {
  switch (state) {
    case AddedRun::State::added:
      return "added";
    case AddedRun::State::extended:
      return "extended";
    case AddedRun::State::present:
      return "there already";
  }
  return "";
}

struct FigureColumn {
  Column column;
  bool always;
};

const std::array<FigureColumn, 7>& figure_columns() {
  static const std::array<FigureColumn, 7> columns{{
      {{"flops", "FLOPs", "FLOP", "FLOPs that the plan needs", false, Hint::flops}, true},
      {{"flops_issued", "issued", "FLOP", "FLOPs that are issued", false, Hint::flops}, false},
      {{"bytes_weights", "weights", "bytes", "Weights read once", false, Hint::bytes}, false},
      {{"bytes_requested", "planned", "bytes", "Outputs of all operations, as planned", false,
        Hint::bytes},
       false},
      {{"bytes_cache_passage", "cache/passage", "bytes", "Stored bytes of one passage", false,
        Hint::bytes},
       false},
      {{"peak_bytes", "memory", "bytes", "Peak of the activations", false, Hint::bytes}, true},
      {{"requested_bytes", "requested", "bytes", "Outputs of all operations, as allocated", false,
        Hint::bytes},
       false},
  }};
  return columns;
}

Cell figure_cell(const ExactFigures& figures, const std::string& name) {
  const auto found = figures.find(name);
  return found == figures.end() ? Cell() : Cell::number(found->second);
}

/// What changed at each (series, entry), all metrics together.
using ChangeTexts = std::map<std::pair<std::size_t, std::size_t>, std::string>;
ChangeTexts change_texts(const HistoryView& view) {
  ChangeTexts texts;
  for (const HistoryChange& change : view.changes) {
    std::string& text = texts[{change.series, change.entry}];
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", change.metric, change_words(change));
  }
  return texts;
}

Cell value_cell(const HistoryChange& change, double value) {
  if (change.metric == "time") return Cell::number(value, human_time(value));
  if (change.metric == "ratio") return Cell::number(value, human_ratio(value));
  return Cell::number(value,
                      change.metric.starts_with("flops") ? human_flops(value) : human_bytes(value));
}

}  // namespace

std::string HistoryView::number_of(std::int64_t machine) const {
  const auto found = std::ranges::find(machines, machine, &HistoryMachine::id);
  return std::to_string(found - machines.begin() + 1);
}

Table added_table(const std::vector<AddedRun>& added) {
  Table table;
  table.columns = {{"run", "run", "", "Id of the run", true},
                   {"revision", "revision", "", "Revision that was measured", true},
                   {"date", "date", "", "What trends are ordered by, UTC", true},
                   {"points", "points", "", "Points in it", false, Hint::count},
                   {"state", "state", "", "What became of it", true}};
  for (const AddedRun& run : added) {
    table.rows.push_back({run.name, run.revision, instant_text(run.at),
                          Cell::number(static_cast<double>(run.points)), state_words(run.state)});
  }
  return table;
}

Table history_runs_table(const HistoryView& view) {
  Table table;
  table.columns = {{"run", "run", "", "Id of the run", true},
                   {"revision", "revision", "", "Revision that was measured", true},
                   {"date", "date", "", "What trends are ordered by, UTC", true},
                   {"machine", "machine", "", "Which machine; see the notes", false},
                   {"records", "records", "", "Records in it", false, Hint::count},
                   {"build", "build", "", "Build id of the program", true},
                   {"version", "version", "", "Version of the program", true}};
  for (const HistoryRun& run : view.runs) {
    table.rows.push_back({run.name, run.revision, instant_text(run.at), view.number_of(run.machine),
                          Cell::number(static_cast<double>(run.records)), run.build, run.version});
  }
  add_machine_notes(view, table);
  return table;
}

Table trend_table(const HistoryView& view, const TrendOptions& options) {
  Table table;
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"machine", "machine", "", "Which machine; see the notes", false},
      {"revision", "revision", "", "Revision that was measured", true},
      {"date", "date", "", "What trends are ordered by, UTC", true},
      {"median_ns", "median", "ns", "Median time of a forward", false, Hint::duration},
      {"median_interval", "95 % interval", "ns", "Of the median", false, Hint::duration_interval},
      {"speedup", "speedup", "x", "Time of full over this one's", false, Hint::ratio},
      {"speedup_interval", "95 % interval", "x", "Of the speedup", false, Hint::ratio_interval}};
  for (const FigureColumn& figure : figure_columns()) {
    if (figure.always || options.every_figure) table.columns.push_back(figure.column);
  }
  table.columns.push_back({"status", "status", "", "ok, or why it does not count", true});
  table.columns.push_back({"change", "change", "", "What changed with this run", true});
  if (options.every_figure) {
    table.columns.push_back({"key", "key", "", "Key of the point", true});
    table.columns.push_back({"run", "run", "", "Id of the run", true});
  }
  const ChangeTexts texts = change_texts(view);
  for (std::size_t s = 0; s < view.series.size(); ++s) {
    const HistorySeries& series = view.series[s];
    const std::size_t count = series.entries.size();
    const std::size_t first = options.last == 0 ? 0 : count - std::min(count, options.last);
    for (std::size_t e = first; e < count; ++e) {
      const HistoryEntry& entry = series.entries[e];
      const HistoryRun& run = view.run_of(series, e);
      std::vector<Cell> row = {series.name,
                               view.number_of(series.machine),
                               run.revision,
                               date_of(run.at),
                               Cell::number(entry.median_ns),
                               Cell::interval(entry.median_ns, entry.ci_low_ns, entry.ci_high_ns),
                               Cell::number(entry.ratio),
                               Cell::interval(entry.ratio, entry.ratio_low, entry.ratio_high)};
      for (const FigureColumn& figure : figure_columns()) {
        if (!figure.always && !options.every_figure) continue;
        row.push_back(figure_cell(series.figures[entry.figures], figure.column.name));
      }
      const auto change = texts.find({s, e});
      row.emplace_back(entry.injected ? "injected" : entry.status);
      row.emplace_back(change == texts.end() ? Cell() : Cell(change->second));
      if (options.every_figure) {
        row.emplace_back(series.key);
        row.emplace_back(run.name);
      }
      table.rows.push_back(std::move(row));
    }
  }
  add_machine_notes(view, table);
  return table;
}

Table changes_table(const HistoryView& view) {
  Table table;
  table.columns = {{"name", "point", "", "Name of the point", true},
                   {"machine", "machine", "", "Which machine; see the notes", false},
                   {"metric", "metric", "", "What changed", true},
                   {"change", "change", "", "How", true},
                   {"revision", "since", "", "First revision that shows it", true},
                   {"date", "date", "", "Of that revision, UTC", true},
                   {"revision_before", "last before", "", "Last revision that does not", true},
                   {"before", "before", "", "Level, or figure, before", false, Hint::number},
                   {"after", "after", "", "Level, or figure, since", false, Hint::number},
                   {"p", "p", "", "Chance of it by noise alone; none: exact", false, Hint::rate}};
  for (const HistoryChange& change : view.changes) {
    const HistorySeries& series = view.series[change.series];
    const HistoryRun& since = view.run_of(series, change.entry);
    table.rows.push_back(
        {series.name, view.number_of(series.machine), change.metric, change_words(change),
         since.revision, date_of(since.at), view.run_of(series, change.before).revision,
         value_cell(change, change.from), value_cell(change, change.to), Cell::number(change.p)});
  }
  add_machine_notes(view, table);
  return table;
}

}  // namespace deformer
