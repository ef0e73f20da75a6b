// `gate history`: runs over time, in an SQLite file.

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/gate.hpp"
#include "cli/gate_history.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/history/history.hpp"
#include "reports/history/views.hpp"

namespace deformer::cli {
namespace {

std::string runs(std::size_t count) {
  return fmt::format("{} run{}", count, count == 1 ? "" : "s");
}

const std::vector<std::string>& actions() {
  static const std::vector<std::string> names = {"add",  "runs",  "trend", "changes",
                                                 "plot", "lines", "check", "migrate"};
  return names;
}

void add_options(App& app, HistoryArguments& arguments) {
  app.add_option("ACTION", arguments.action,
                 "add FILE..: store run files | runs: list them | trend: every point over the runs "
                 "| changes: where a level changed | plot | lines RUN: a run's lines as its file "
                 "had them | check: read everything, compare | migrate: bring an old layout up to "
                 "date")
      ->required()
      ->check(CLI::IsMember(actions()));
  app.add_option("OPERAND", arguments.operands, "add: run files; lines: the id of a run");
  app.add_option("--db", arguments.database, "The history; `add` makes it if it is missing")
      ->required()
      ->type_name("FILE");
  app.add_option("--revision", arguments.revision,
                 "add: revision that was measured (default: the program's own, from the run line)");
  app.add_option("--date", arguments.date,
                 "add: date of the revision, as `git show -s --format=%cI` has it; trends are "
                 "ordered by it (default: when the run started)");
  app.add_option("--filter", arguments.filter, "Points, by a regular expression on their names");
  app.add_option("--last", arguments.last, "Only the latest N runs of each machine; 0: all");
  arguments.metric = "time";
  app.add_option("--metric", arguments.metric, "plot: time, ratio")
      ->check(CLI::IsMember({"time", "ratio"}));
  arguments.threshold = "1%";
  app.add_option("--threshold", arguments.threshold, "Changes of a level below this are left out");
  app.add_option("--out", arguments.out, "plot: folder for an SVG file of each point and machine")
      ->type_name("FOLDER");
  add_format(app, arguments.format, {"console", "markdown", "latex", "csv", "json", "svg"});
}

/// What only some actions take, given to another, is a mistake worth a word.
void check_arguments(const HistoryArguments& given) {
  const auto refuse = [&](bool present, const char* what, const char* whose) {
    if (present) {
      throw BadInput(fmt::format("gate history {}: expected no {}, which is for {}", given.action,
                                 what, whose));
    }
  };
  const bool add = given.action == "add";
  refuse(!add && !given.revision.empty(), "--revision", "add");
  refuse(!add && !given.date.empty(), "--date", "add");
  refuse(given.action != "plot" && !given.out.empty(), "--out", "plot");
  refuse(given.action != "plot" && given.format == "svg", "--format svg", "plot");
  refuse(!add && given.action != "lines" && !given.operands.empty(), "operand", "add and lines");
  if (add && given.operands.empty()) {
    throw BadInput("gate history add: expected run files, found none");
  }
  if (given.action == "lines" && given.operands.size() != 1) {
    throw BadInput(fmt::format("gate history lines: expected the id of one run, found {}",
                               given.operands.size()));
  }
}

int add_files(const HistoryArguments& arguments) {
  RunOrigin origin{.revision = arguments.revision};
  if (!arguments.date.empty()) {
    origin.at = parse_instant("--date", arguments.date);
  }
  std::optional<History> history;  // made once a file has been read: a mistyped name makes none
  std::vector<AddedRun> added;
  for (const std::string& path : arguments.operands) {
    const RunFile file = read_run_file(path);
    if (!file.torn_tail.empty()) {
      warn(file.torn_tail);
    }
    const std::size_t before = added.size();
    if (!history) {
      history.emplace(arguments.database, History::Access::write);
    }
    history->add(file, origin, [&added](const AddedRun& run) { added.push_back(run); });
    if (added.size() == before) {
      warn(fmt::format("{}: no run to store in it", path));
    }
  }
  print_tables("gate", {added_table(added)}, arguments.format, false);
  if (added.empty()) {
    fmt::print(stderr, "deformer-bench: nothing was stored: the files hold no run\n");
    return kUndecided;
  }
  return kDone;
}

int nothing_found(const HistoryArguments& arguments) {
  fmt::print(stderr, "deformer-bench: {}\n",
             arguments.filter.empty() ? "the history holds no point"
                                      : "no point of the history matches the filter");
  return kUndecided;
}

int show_table(const HistoryArguments& arguments) {
  constexpr std::size_t kTrendRuns = 20;  // what fits a screen; --last says otherwise
  const bool trend = arguments.action == "trend";
  HistoryView view = view_of(arguments, true);
  if (view.series.empty()) {
    return nothing_found(arguments);
  }
  find_changes_of(view, arguments);
  if (!trend) {
    print_tables("gate", {changes_table(view)}, arguments.format, false);
    if (view.changes.empty()) {
      fmt::print(stderr, "deformer-bench: nothing changed over {}\n", runs(view.runs.size()));
    }
    return kDone;
  }
  // Levels are found over the whole history, and the latest runs shown.
  const bool machine = arguments.format == "csv" || arguments.format == "json";
  const std::size_t most = arguments.last != 0 || machine ? 0 : kTrendRuns;
  print_tables("gate", {trend_table(view, {.every_figure = machine, .last = most})},
               arguments.format, false);
  return kDone;
}

int show_lines(const HistoryArguments& arguments) {
  History history(arguments.database, History::Access::read);
  print_result(history.lines(arguments.operands.front()));
  return kDone;
}

int check(const HistoryArguments& arguments) {
  History history(arguments.database, History::Access::read);
  const std::vector<std::string> damage = history.damage();
  for (const std::string& what : damage) {
    print_piece(what + "\n");
  }
  finish_result();
  if (!damage.empty()) {
    throw BadInput(fmt::format("{}: expected an undamaged history, found {} faults (above)",
                               arguments.database, damage.size()));
  }
  print_result(fmt::format("{}: {}, undamaged\n", arguments.database, runs(history.runs().size())));
  return kDone;
}

}  // namespace

int run_gate_history(const std::vector<std::string>& given) {
  App app(
      "gate history",
      "Runs over time in one SQLite file: what was measured at which revision, where a level "
      "changed, figures that repeat exactly. Machines are never joined. Any number of processes "
      "may add and read at once.",
      "deformer-bench gate history add run.jsonl --db history.sqlite --revision abc123");
  HistoryArguments arguments;
  add_options(app, arguments);
  if (const auto code = app.read(given)) {
    return *code;
  }
  check_arguments(arguments);
  if (arguments.action == "add") {
    return add_files(arguments);
  }
  if (arguments.action == "runs") {
    const HistoryView view = view_of(arguments, false);
    print_tables("gate", {history_runs_table(view)}, arguments.format, false);
    return kDone;
  }
  if (arguments.action == "plot") {
    return plot_history(arguments);
  }
  if (arguments.action == "lines") {
    return show_lines(arguments);
  }
  if (arguments.action == "check") {
    return check(arguments);
  }
  if (arguments.action == "migrate") {
    if (!std::filesystem::exists(arguments.database)) {
      throw BadInput(fmt::format("{}: expected a history, found no such file", arguments.database));
    }
    const History history(arguments.database, History::Access::write);
    return kDone;
  }
  return show_table(arguments);
}

}  // namespace deformer::cli
