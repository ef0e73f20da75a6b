// `report`: run files as tables, pages and the formats of other tools.

#include <algorithm>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/economics.hpp"
#include "reports/gbench.hpp"
#include "reports/html.hpp"
#include "reports/load.hpp"
#include "reports/plot.hpp"
#include "reports/report.hpp"
#include "reports/waterfall.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

struct ReportArguments {
  std::vector<std::string> paths;
  std::string format, view = "table", reproducers = "on", pivot;
  std::vector<std::string> columns, sort, group_by, filters;
  bool allow_mixed = false, standalone = false, plot = false;
};

void add_options(App& app, ReportArguments& arguments) {
  app.add_option("FILE", arguments.paths, "Run files")->required();
  add_format(app, arguments.format,
             {"console", "markdown", "latex", "csv", "json", "gbench", "html"});
  app.add_option("--columns", arguments.columns, "Columns to show, by name (csv's header has all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--sort", arguments.sort, "Columns to sort by: COLUMN, COLUMN:desc")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--group-by", arguments.group_by, "One row for each combination of these columns")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--filter", arguments.filters,
                 "Keep rows: a regular expression on names, or a condition as in speedup>2; all "
                 "that are given must hold")
      ->allow_extra_args(false);
  app.add_option("--pivot", arguments.pivot,
                 "ROWS=COLUMNS, as k=variant; cells are the first of --columns (default speedup)");
  app.add_option(
         "--view", arguments.view,
         "table | economics: when caching pays, by bandwidth, hit rate and sharing | waterfall: "
         "of each speedup, from the FLOP ratio to the measured one")
      ->check(CLI::IsMember({"table", "economics", "waterfall"}));
  app.add_flag("--plot", arguments.plot, "Speedup against k, drawn in the terminal");
  app.add_flag("--standalone", arguments.standalone, "latex: a document that compiles by itself");
  app.add_option("--reproducers", arguments.reproducers, "on | off: the command behind each row")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_flag("--allow-mixed", arguments.allow_mixed,
               "Merge files of different machines; a column tells them apart");
}

ReportOptions options_of(const ReportArguments& arguments) {
  ReportOptions options{.columns = arguments.columns,
                        .sort = arguments.sort,
                        .group_by = arguments.group_by,
                        .pivot = {},
                        .commands = arguments.reproducers == "on",
                        .every_column = arguments.format == "csv"};
  if (!arguments.pivot.empty()) {
    const std::size_t equals = arguments.pivot.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == arguments.pivot.size()) {
      throw BadInput(fmt::format("--pivot: expected ROWS=COLUMNS as in k=variant, found '{}'",
                                 arguments.pivot));
    }
    options.pivot = {arguments.pivot.substr(0, equals), arguments.pivot.substr(equals + 1)};
    if (!arguments.group_by.empty()) {
      throw BadInput("--pivot, --group-by: expected one of them, found both");
    }
  }
  return options;
}

/// Whether json rows are those of the table rather than whole records.
bool is_reshaped(const ReportOptions& options) {
  return !options.columns.empty() || !options.group_by.empty() || options.pivot;
}

void print_whole_records(const LoadedRows& loaded) {
  print_piece("{\"type\":\"report\",\"schema\":1,\"rows\":[");
  bool first = true;
  read_records(loaded, loaded.rows, [&first](std::string_view line) {
    print_piece(first ? "\n" : ",\n");
    print_piece(line);
    first = false;
  });
  print_piece("\n]}\n");
  finish_result();
}

void print_gbench(const LoadedRows& loaded) {
  const ordered_json run = loaded.runs.empty() ? ordered_json() : loaded.runs.back();
  print_piece("{\"context\":" + to_line(gbench_context(run)) + ",\n\"benchmarks\":[");
  bool first = true;
  read_records(loaded, loaded.rows, [&first](std::string_view line) {
    for (const ordered_json& entry : gbench_entries(ordered_json::parse(line))) {
      print_piece(first ? "\n" : ",\n");
      print_piece(to_line(entry));
      first = false;
    }
  });
  print_piece("\n]}\n");
  finish_result();
}

void expect_table_format(const ReportArguments& arguments) {
  if (arguments.format == "gbench" || arguments.format == "html") {
    throw BadInput(
        fmt::format("--view {}: expected --format console, markdown, latex, csv or json, found {}",
                    arguments.view, arguments.format));
  }
}

void print_economics(const LoadedRows& loaded, const ReportArguments& arguments) {
  expect_table_format(arguments);
  EconomicsTable economics;
  read_records(loaded, loaded.rows,
               [&economics](std::string_view line) { economics.add(ordered_json::parse(line)); });
  Table table = economics.table();
  table.provenance = provenance_of(loaded);
  print_tables("report", {table}, arguments.format, arguments.standalone);
}

void print_waterfalls(const LoadedRows& loaded, const ReportArguments& arguments) {
  expect_table_format(arguments);
  WaterfallReport waterfalls;
  read_records(loaded, loaded.rows,
               [&waterfalls](std::string_view line) { waterfalls.add(ordered_json::parse(line)); });
  const bool machines = arguments.format == "csv" || arguments.format == "json";
  std::vector<Table> tables = waterfalls.tables(machines);
  tables.back().provenance = provenance_of(loaded);
  print_tables("report", tables, arguments.format, arguments.standalone);
}

void print_html_report(LoadedRows loaded, ReportOptions options) {
  HtmlPage page;
  page.provenance = provenance_of(loaded);
  page.machines = loaded.machines;
  page.runs = loaded.runs;
  for (const std::string& detail : page.choose_details(loaded.rows, options)) warn(detail);
  read_records(loaded, page.details,
               [&page](std::string_view line) { page.add_detail(ordered_json::parse(line)); });
  page.table = report_table(std::move(loaded.rows), options);
  print_html(page, print_piece);
  finish_result();
}

void print_report(LoadedRows loaded, const ReportArguments& arguments) {
  const ReportOptions options = options_of(arguments);
  if (arguments.view == "economics") {
    return print_economics(loaded, arguments);
  }
  if (arguments.view == "waterfall") {
    return print_waterfalls(loaded, arguments);
  }
  if (arguments.format == "gbench") {
    return print_gbench(loaded);
  }
  if (arguments.format == "html") {
    return print_html_report(std::move(loaded), options);
  }
  if (arguments.format == "json" && !is_reshaped(options)) {
    if (!options.sort.empty()) {
      order_rows(loaded.rows, options);
    }
    return print_whole_records(loaded);
  }
  const std::vector<std::string> provenance = provenance_of(loaded);
  const std::string plots = arguments.plot ? plot_splits(loaded.rows) : "";
  Table table = report_table(std::move(loaded.rows), options);
  table.provenance = provenance;
  table.notes.insert(table.notes.end(), loaded.machines.begin(), loaded.machines.end());
  std::vector<Table> tables;  // moved: a list in braces would copy every cell of a long report
  tables.push_back(std::move(table));
  print_tables("report", tables, arguments.format, arguments.standalone);
  if (!plots.empty() && arguments.format == "console") {
    print_result("\n" + plots);
  }
}

/// What to keep of each record; unknown columns are found here, before long files are read.
RowNeeds needs_of(const ReportArguments& arguments, const ReportOptions& options,
                  const std::vector<RowFilter>& filters) {
  const bool whole = arguments.format == "gbench" || arguments.view != "table" ||
                     (arguments.format == "json" && !is_reshaped(options));
  std::vector<bool> columns = columns_needed(options);
  if (whole && options.sort.empty()) {
    columns.assign(columns.size(), false);
  }
  if (arguments.plot) {
    columns[*find_record_column("speedup_interval")] = true;
  }
  for (const RowFilter& filter : filters) {
    if (const auto column = filter.column()) {
      columns[*column] = true;
    }
  }
  RowNeeds needs{.slots = column_slots(columns)};
  needs.command =
      options.commands && !whole && arguments.format != "csv" && arguments.format != "json";
  return needs;
}

}  // namespace

int run_report_verb(const std::vector<std::string>& given) {
  App app("report",
          "Run files as a paper-style speedup table, or in the format of another tool. Several "
          "files merge; medians and ratios shown together come from one set.",
          "deformer-bench report deformer-bench.jsonl --format markdown");
  ReportArguments arguments;
  add_options(app, arguments);
  if (const auto code = app.read(given)) {
    return *code;
  }
  const ReportOptions options = options_of(arguments);
  std::vector<RowFilter> filters;
  for (const std::string& filter : arguments.filters) {
    filters.emplace_back(filter);
  }
  LoadedRows loaded = load_rows(arguments.paths, arguments.allow_mixed,
                                needs_of(arguments, options, filters), warn);
  std::erase_if(loaded.rows, [&filters](const RecordRow& row) {
    return !std::ranges::all_of(filters,
                                [&row](const RowFilter& filter) { return filter.keeps(row); });
  });
  const bool empty = loaded.rows.empty();
  print_report(std::move(loaded), arguments);
  if (empty) {
    fmt::print(stderr, "deformer-bench: no record {}\n",
               filters.empty() ? "in these files" : "matches the filter");
    return kUndecided;
  }
  return kDone;
}

}  // namespace deformer::cli
