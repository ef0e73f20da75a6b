// `paper`: the paper's tables and figures: published, cost model, measured here.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/paper_run.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/paper.hpp"

namespace deformer::cli {
namespace {

struct PaperArguments {
  std::vector<std::string> files;
  std::string format, figures;
  PaperPrices prices;
  PaperRun run;
  bool measure = false, allow_mixed = false, standalone = false;
};

void add_options(App& app, PaperArguments& arguments) {
  app.add_option("FILE", arguments.files, "Run files that hold what was measured here");
  add_format(app, arguments.format, table_formats());
  app.add_flag("--standalone", arguments.standalone, "latex: a document that compiles by itself");
  app.add_option("--figures", arguments.figures,
                 "Folder for figures 2 and 4 as SVG and as pgfplots (made if missing)")
      ->type_name("FOLDER");
  app.add_flag("--run", arguments.measure, "Measure what is missing and fits the budget");
  app.add_option("--budget", arguments.run.budget, "With --run: time for all of it, as 90s or 10m");
  app.add_option("--out,-o", arguments.run.out,
                 "With --run: run file that records are appended to");
  app.add_option("--threads,-t", arguments.run.threads, "With --run: threads (default: the cores)");
  app.add_flag("--quiet", arguments.run.quiet, "Nothing on stderr but errors");
  app.add_flag("--allow-mixed", arguments.allow_mixed, "Merge files of different machines");
  app.add_option("--price-hour", arguments.prices.machine_hour, "Dollars an hour of the machine");
  app.add_option("--price-gb-month", arguments.prices.storage_gb_month,
                 "Dollars a GB and month of storage");
  app.add_option("--price-reads", arguments.prices.reads_10k, "Dollars for 10 000 reads");
  app.add_option("--price-date", arguments.prices.date, "Date of these prices");
}

/// Given here or in --config. The environment speaks to every verb, so it doesn't count.
bool given_here(const App& app, const std::string& name) {
  const CLI::Option& option = *app.get_option(name);
  return option.count() > 0 && std::getenv(option.get_envname().c_str()) == nullptr;
}

void check(const PaperArguments& arguments, const App& app) {
  for (const char* name : {"--budget", "--threads", "--out"}) {
    if (!arguments.measure && given_here(app, name)) {
      throw BadInput(fmt::format("{}: expected --run with it, found none", name));
    }
  }
  constexpr int kMostThreads = 1024;
  const int threads = arguments.run.threads;
  if (arguments.measure && app.count("--threads") > 0 && (threads < 1 || threads > kMostThreads)) {
    throw BadInput(fmt::format("--threads: expected 1 to {}, found {}", kMostThreads, threads));
  }
  for (const auto& [option, value] : {std::pair{"--price-hour", arguments.prices.machine_hour},
                                      {"--price-gb-month", arguments.prices.storage_gb_month},
                                      {"--price-reads", arguments.prices.reads_10k}}) {
    if (!std::isfinite(value) || value < 0) {
      throw BadInput(fmt::format("{}: expected dollars of 0 or more, found {}", option, value));
    }
  }
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) {
    throw BadInput(fmt::format("{}: expected to write a figure there, found it full or closed",
                               path.string()));
  }
}

void write_figures(const std::string& folder, const std::vector<PaperItem>& items) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw BadInput(
        fmt::format("--figures {}: expected a folder, found: {}", folder, error.message()));
  }
  for (const auto& [name, figure] : paper_figures(items)) {
    write_file(std::filesystem::path(folder) / (name + ".svg"), svg_plot(figure));
    write_file(std::filesystem::path(folder) / (name + ".tex"), pgfplots_plot(figure, true));
  }
}

PaperRecords records_of(const PaperArguments& arguments) {
  std::vector<RunFile> files;
  for (const std::string& path : arguments.files) {
    files.push_back(read_run_file(path));
    if (!files.back().torn_tail.empty() && !arguments.run.quiet) {
      warn(files.back().torn_tail);
    }
  }
  return PaperRecords(merged_records(std::move(files), arguments.allow_mixed));
}

/// csv has one header row: all numbers of the paper in one table, with a column for where they are.
/// What does not reproduce has other columns and is left to the other formats.
Table one_table(const std::vector<Table>& tables) {
  Table all = tables.front();
  all.title.clear();
  all.rows.clear();
  all.columns.insert(all.columns.begin(),
                     {"table", "table", "", "Table or figure of the paper", true});
  for (const Table& table : tables) {
    for (std::vector<Cell> row : table.rows) {
      row.insert(row.begin(), Cell(table.title));
      all.rows.push_back(std::move(row));
    }
  }
  return all;
}

}  // namespace

int run_paper_verb(const std::vector<std::string>& given) {
  App app("paper",
          "The numbers of the DeFormer paper (ACL 2020) side by side: published, from the cost "
          "model, measured here, with the run that measured it or why it is not. Then what does "
          "not reproduce, each item shown by a number.",
          "deformer-bench paper deformer-bench.jsonl --figures figures");
  PaperArguments arguments;
  add_options(app, arguments);
  if (const auto code = app.read(given)) {
    return *code;
  }
  check(arguments, app);
  int code = kDone;
  if (arguments.measure) {
    code = measure_paper(arguments.run, given, app.resolved());
    std::erase(arguments.files, arguments.run.out);
    if (std::filesystem::exists(arguments.run.out)) {  // it doesn't when nothing fit the budget
      arguments.files.push_back(arguments.run.out);
    }
  }
  const PaperRecords records = records_of(arguments);
  const std::vector<PaperItem> items = paper_items(records, arguments.prices);
  if (!arguments.figures.empty()) {
    write_figures(arguments.figures, items);
  }
  std::vector<Table> tables = paper_tables(items, arguments.prices);
  if (arguments.format == "csv") {
    tables = {one_table(tables)};
  } else {
    tables.push_back(paper_discrepancies(records));
  }
  print_tables("paper", tables, arguments.format, arguments.standalone);
  return code;
}

}  // namespace deformer::cli
