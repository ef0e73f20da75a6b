// `sweep`: measure every point of the axes, append records, print the table.

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/measuring_options.hpp"
#include "cli/point_options.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "harness/interrupt.hpp"
#include "harness/record.hpp"
#include "harness/sweep.hpp"
#include "model/cost.hpp"
#include "model/error.hpp"
#include "reports/plot.hpp"
#include "reports/speedup.hpp"
#include "reports/splits.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

/// Rate assumed by --dry-run's estimates, per thread; measured f32 forwards lie at 40 to 80 GFLOP/s
/// a core on current x86 servers.
constexpr double kAssumedFlopsPerThread = 50e9;

struct SweepArguments {
  PointOptions points;
  MeasuringOptions measuring{"phase"};
  std::string out = "deformer-bench.jsonl";
  std::string roofs = "on";
  std::string budget;
  bool plot = false;
  bool fresh = false, allow_mixed = false, dry_run = false, worker = false;
  std::string format;
};

void add_options(App& app, SweepArguments& arguments) {
  arguments.points.add_to(app);
  app.add_option("--out,-o", arguments.out, "Run file that records are appended to")
      ->capture_default_str()
      ->type_name("FILE");
  arguments.measuring.add_to(app, "Seconds a point, at most");
  app.add_option("--budget", arguments.budget,
                 "Time for the whole command, as 90s, 10m or 2h: rounds go where intervals are "
                 "widest or k can't be told apart (default: --max-time a point)");
  app.add_flag("--plot", arguments.plot, "Speedup against k, drawn under the table");
  app.add_option("--roofs", arguments.roofs,
                 "on | off: measure the arithmetic peak and memory bandwidth of this run")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_flag("--fresh", arguments.fresh, "Measure all again, whatever the run file holds");
  app.add_flag("--allow-mixed", arguments.allow_mixed,
               "Append to a run file of another build or machine");
  app.add_flag("--worker", arguments.worker,
               "Alone: serve the worker protocol on stdin and stdout, for `gate measure`");
  app.add_flag("--dry-run", arguments.dry_run, "List the points with FLOPs and estimated time");
  add_format(app, arguments.format, {"console", "markdown", "json"});
}

void check(const SweepArguments& arguments, const App& app) {
  arguments.measuring.check(app);
  if (arguments.worker) {
    throw BadInput(
        "--worker: expected alone, as it is asked by requests on stdin; found further options");
  }
  if (!arguments.budget.empty()) {
    (void)parse_seconds("--budget", arguments.budget);
    if (app.count("--rounds") > 0) {
      throw BadInput("--budget, --rounds: expected one of them, found both");
    }
  }
}

double estimated_seconds(double flops, int threads, const SweepArguments& arguments) {
  const double forward_s = flops / (kAssumedFlopsPerThread * static_cast<double>(threads));
  const double sample_s = std::max(forward_s, 1e-3);
  if (arguments.measuring.rounds() > 0) {
    return sample_s * static_cast<double>(arguments.measuring.rounds());
  }
  return std::max(10 * sample_s, arguments.measuring.max_time_s());
}

ordered_json dry_row(const PlannedPoint& planned, const PlannedGroup& group,
                     const SweepArguments& arguments) {
  ordered_json row{{"type", "record"},     {"schema", 1},
                   {"key", planned.key},   {"group", group.key},
                   {"name", planned.name}, {"point", point_json(planned.point)}};
  row["status"] = planned.skip == Skip::no ? "planned" : "skipped";
  row["reason"] = planned.reason.empty() ? ordered_json(nullptr) : ordered_json(planned.reason);
  const bool possible = planned.skip != Skip::impossible;
  row["cost"] = possible ? cost_json(group.config, planned.point) : ordered_json(nullptr);
  row["estimated_s"] = planned.skip == Skip::no
                           ? ordered_json(estimated_seconds(row["cost"]["flops"].get<double>(),
                                                            planned.point.threads, arguments))
                           : ordered_json(nullptr);
  return row;
}

int print_dry_run(const std::vector<PlannedGroup>& groups, const SweepArguments& arguments) {
  std::vector<ordered_json> rows;
  double total_s = 0;
  for (const PlannedGroup& group : groups) {
    for (const PlannedPoint& planned : group.points) {
      rows.push_back(dry_row(planned, group, arguments));
      total_s +=
          rows.back()["estimated_s"].is_null() ? 0 : rows.back()["estimated_s"].get<double>();
    }
  }
  if (arguments.format == "json") {
    print_json("sweep", rows);
    return kDone;
  }
  Table table;
  table.columns = {{"name", "point", "", "Name of the point", true},
                   {"flops", "FLOPs", "", "GEMM + attention of one forward", false},
                   {"estimated_s", "at most", "s", "Estimated measuring time", false},
                   {"status", "status", "", "planned, or why not", true}};
  for (const ordered_json& row : rows) {
    const bool planned = row["status"] == "planned";
    table.rows.push_back(
        {row["name"].get<std::string>(),
         row["cost"].is_null()
             ? Cell{}
             : human_flops(static_cast<double>(row["cost"]["flops"].get<std::int64_t>())),
         planned ? Cell{fmt::format("{:.1f} s", row["estimated_s"].get<double>())} : Cell{},
         planned ? "planned" : "skipped: " + row["reason"].get<std::string>()});
  }
  table.notes.push_back(fmt::format("{} point{} in {} group{}, at most {:.0f} s of measuring",
                                    rows.size(), rows.size() == 1 ? "" : "s", groups.size(),
                                    groups.size() == 1 ? "" : "s", total_s));
  print_tables("sweep", {table}, arguments.format);
  return kDone;
}

/// What followed a bare `--` belongs to Google Benchmark.
std::vector<std::string> take_benchmark_flags(std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> flags;
  if (dashes != arguments.end()) {
    flags.assign(dashes + 1, arguments.end());
    arguments.erase(dashes, arguments.end());
  }
  return flags;
}

void print_table_of(const SweepResult& result, const SweepArguments& arguments) {
  const std::vector<std::string> findings =
      arguments.budget.empty() ? std::vector<std::string>{} : split_findings(result.records);
  if (arguments.format == "json") {
    print_json("sweep", result.records);
    for (const std::string& finding : findings) {
      fmt::print(stderr, "deformer-bench: {}\n", finding);
    }
    return;
  }
  Table table = speedup_table(result.records, true);
  table.notes.insert(table.notes.end(), findings.begin(), findings.end());
  print_tables("sweep", {table}, arguments.format);
  if (arguments.plot) {
    std::vector<RecordRow> rows;
    for (const ordered_json& record : result.records) {
      rows.push_back(make_row(record, {}));
    }
    print_result("\n" + plot_splits(rows));
  }
}

int verdict(const SweepResult& result, const SweepArguments& arguments) {
  const std::size_t skipped = result.skipped + result.skipped_before;
  if (skipped > 0 && !arguments.measuring.quiet()) {
    warn(
        fmt::format("{} of {} points were skipped; their records say why", skipped, result.points));
  }
  if (result.beyond_budget == result.points && !result.interrupted) {
    fmt::print(stderr, "deformer-bench: nothing was measured: the budget of {} did not reach\n",
               arguments.budget);
    return kUndecided;
  }
  if (result.beyond_budget > 0 && !arguments.measuring.quiet()) {
    warn(fmt::format("{} of {} points were not measured: the budget of {} did not reach",
                     result.beyond_budget, result.points, arguments.budget));
  }
  return outcome(result, fmt::format("interrupted; what was measured is in {}; the same command "
                                     "goes on where it stopped",
                                     arguments.out));
}

std::vector<PlannedGroup> plan_groups(const SweepSpec& spec, const BenchmarkDriver& driver) {
  std::vector<PlannedGroup> groups = expand(spec);
  std::erase_if(
      groups, [&driver](const PlannedGroup& group) { return !driver.selects(group_name(group)); });
  if (!groups.empty()) {
    mark_unavailable(groups);
  }
  return groups;
}

int list_groups(const std::vector<PlannedGroup>& groups) {
  std::string text;
  for (const PlannedGroup& group : groups) {
    text += group_name(group) + "\n";
  }
  print_result(text);
  return kDone;
}

}  // namespace

int run_sweep_verb(const std::vector<std::string>& given) {
  if (given == std::vector<std::string>{"--worker"}) {
    return run_sweep_worker();
  }
  std::vector<std::string> arguments = given;
  const std::vector<std::string> benchmark_flags = take_benchmark_flags(arguments);
  SweepArguments options;
  App app(
      "sweep",
      "Measure every point of the axes, append records to a run file, print the table.\n"
      "AXIS: 9 | 1,4,16 | 1:12 | 1:12:2 | 1:64:x2, mixed by comma. What follows a bare -- goes to "
      "Google Benchmark.",
      "deformer-bench sweep --model bert-tiny --task squad --split 1 --max-time 1");
  add_options(app, options);
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  check(options, app);
  const SweepSpec spec = options.points.spec(true);
  BenchmarkDriver driver(benchmark_flags);
  const std::vector<PlannedGroup> groups = plan_groups(spec, driver);
  if (groups.empty()) {
    fmt::print(stderr, "deformer-bench: the filter left no point to measure\n");
    return kUndecided;
  }
  if (driver.lists_only()) {
    return list_groups(groups);
  }
  if (options.dry_run) {
    return print_dry_run(groups, options);
  }
  SweepOptions sweep = options.measuring.sweep(app, spec, groups, "sweep", given);
  sweep.out = options.out;
  sweep.fresh = options.fresh;
  sweep.allow_mixed = options.allow_mixed;
  sweep.roofs = options.roofs == "on";
  sweep.budget_s = options.budget.empty() ? 0 : parse_seconds("--budget", options.budget);
  catch_interrupts();
  const SweepResult result = [&] {
    Progress progress(options.measuring.quiet());
    return run_sweep(spec, groups, sweep, driver, progress);
  }();
  print_table_of(result, options);
  return verdict(result, options);
}

}  // namespace deformer::cli
