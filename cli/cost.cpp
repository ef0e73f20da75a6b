// `cost`: the cost model alone.

#include <cmath>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/point_options.hpp"
#include "cli/verbs.hpp"
#include "harness/record.hpp"
#include "model/cost.hpp"
#include "model/error.hpp"
#include "reports/table.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

ordered_json phases_of(const PlanCost& cost) {
  ordered_json phases = ordered_json::array();
  for (const PhaseCost& phase : cost.phases) {
    ordered_json row{{"name", phase_name(phase.phase)},
                     {"median_ns", nullptr},
                     {"flops", phase.total.flops()},
                     {"bytes_activations", phase.total.bytes_activations},
                     {"bytes_weights", phase.total.bytes_weights}};
    if (!phase.layers.empty()) {
      row["layers"] = phase.layers.size();
      row["flops_layer"] = phase.layers.front().flops();
    }
    phases.push_back(std::move(row));
  }
  return phases;
}

/// Where loading costs as much as recomputing, and what caching saves.
ordered_json crossover_of(const ModelConfig& config, const Point& point, double rate_gflops) {
  const std::int64_t saved =
      saved_flops_per_pair(config, point.split, point.question, point.passage);
  const std::int64_t bytes = cached_passage_bytes(config, point.passage, point.cache_dtype);
  const double bandwidth = critical_bandwidth(rate_gflops * 1e9, bytes, saved);
  return {{"saved_flops_pair", saved},
          {"rate_gflops", rate_gflops},
          {"critical_bandwidth_bytes_per_s",
           std::isfinite(bandwidth) ? ordered_json(bandwidth) : ordered_json(nullptr)}};
}

ordered_json cost_row(const PlannedGroup& group, const PlannedPoint& planned, double rate_gflops) {
  const Point& point = planned.point;
  ordered_json row{{"type", "record"},   {"schema", 1},          {"key", planned.key},
                   {"group", group.key}, {"name", planned.name}, {"point", point_json(point)}};
  if (planned.skip != Skip::no) {
    row["status"] = "skipped";
    row["reason"] = planned.reason;
    row["speedup"] = {{"flop_ratio", nullptr}, {"requested_reduction", nullptr}};
    row["cost"] = nullptr;
    return row;
  }
  const PlanCost cost = plan_cost(group.config, point);
  row["status"] = "ok";
  row["reason"] = nullptr;
  row["speedup"] = {{"flop_ratio", flop_ratio(group.config, point)},
                    {"requested_reduction", requested_reduction(group.config, point)}};
  row["cost"] = cost_json(group.config, point);
  row["memory"] = {{"peak_bytes", cost.activation_peak_bytes},
                   {"requested_bytes", cost.total.bytes_requested},
                   {"rss_peak_bytes", nullptr}};
  row["phases"] = phases_of(cost);
  row["crossover"] = point.variant == Variant::cached
                         ? crossover_of(group.config, point, rate_gflops)
                         : ordered_json(nullptr);
  return row;
}

Cell number(const ordered_json& row, const char* object, const char* field,
            std::string (*format)(double)) {
  const auto found = row.find(object);
  if (found == row.end() || found->is_null() || !found->contains(field) ||
      (*found)[field].is_null()) {
    return {};
  }
  return format((*found)[field].get<double>());
}

/// Whether the ways of counting FLOPs differ anywhere (model/cost.hpp): XLNet's do.
bool counts_differ(const std::vector<ordered_json>& rows) {
  return std::ranges::any_of(rows, [](const ordered_json& row) {
    return !row["cost"].is_null() && row["cost"]["flops_nominal"] != row["cost"]["flops"];
  });
}

/// The other counts, behind the column of FLOPs.
void add_counts(const std::vector<ordered_json>& rows, Table& table) {
  constexpr std::size_t kPlace = 2;
  const std::vector<Column> columns = {
      {"flops_nominal", "nominal", "FLOP", "As the formulas say, nothing computed ahead", false},
      {"flops_precomputed", "precomputed", "FLOP", "Positions projected ahead", false},
      {"flops_issued", "issued", "FLOP", "With the band that a tiled shift computes", false}};
  table.columns.insert(table.columns.begin() + kPlace, columns.begin(), columns.end());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<Cell> cells;
    for (const Column& column : columns) {
      cells.push_back(number(rows[i], "cost", column.name.c_str(), human_flops));
    }
    table.rows[i].insert(table.rows[i].begin() + kPlace, cells.begin(), cells.end());
  }
}

Table table_of(const std::vector<ordered_json>& rows, double rate_gflops) {
  Table table;
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"flops", "FLOPs", "FLOP", "GEMM + attention", false},
      {"flop_ratio", "FLOP ratio", "x", "FLOPs of full over these", false},
      {"bytes_weights", "weights", "bytes", "All weights once", false},
      {"peak_bytes", "activations", "bytes", "Largest sum alive at once", false},
      {"requested_bytes", "requested", "bytes", "Outputs of all operations: the paper's memory",
       false},
      {"requested_reduction", "less", "%", "Of requested, less than full: the paper's reduction",
       false},
      {"bytes_cache_passage", "cache/passage", "bytes", "Stored bytes of one passage", false},
      {"critical_bandwidth", "BW*", "bytes/s", "Below it loading costs more than recomputing",
       false},
      {"status", "status", "", "ok, or why not", true}};
  for (const ordered_json& row : rows) {
    const bool ok = row["status"] == "ok";
    const Cell bandwidth = number(row, "crossover", "critical_bandwidth_bytes_per_s",
                                  [](double value) { return human_bytes(value) + "/s"; });
    table.rows.push_back({row["name"].get<std::string>(), number(row, "cost", "flops", human_flops),
                          number(row, "speedup", "flop_ratio", human_ratio),
                          number(row, "cost", "bytes_weights", human_bytes),
                          number(row, "memory", "peak_bytes", human_bytes),
                          number(row, "memory", "requested_bytes", human_bytes),
                          number(row, "speedup", "requested_reduction", human_percent),
                          number(row, "cost", "bytes_cache_passage", human_bytes), bandwidth,
                          ok ? "ok" : "skipped: " + row["reason"].get<std::string>()});
  }
  if (counts_differ(rows)) {
    add_counts(rows, table);
  }
  table.notes.push_back(
      "requested: outputs of all operations of one forward, each counted, none of them fused or "
      "reused (what the paper calls memory); less: than full");
  table.notes.push_back(fmt::format("BW*: critical bandwidth at {} GFLOP/s (--rate)", rate_gflops));
  return table;
}

}  // namespace

int run_cost_verb(const std::vector<std::string>& arguments) {
  App app(
      "cost",
      "The cost model alone: FLOPs, bytes, activation memory, cache bytes, predicted crossover. "
      "Needs no weights and measures nothing.",
      "deformer-bench cost --model bert-base --task squad --split 1:11 --variant cached");
  PointOptions points;
  std::string format;
  double rate_gflops = 100;
  points.add_to(app);
  app.add_option("--rate", rate_gflops, "Compute rate in GFLOP/s for the critical bandwidth")
      ->capture_default_str();
  add_format(app, format, {"console", "markdown", "json"});
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  if (!std::isfinite(rate_gflops) || rate_gflops <= 0) {
    throw BadInput(fmt::format("--rate: expected GFLOP/s above 0, found {}", rate_gflops));
  }
  const SweepSpec spec = points.spec(false);
  std::vector<ordered_json> rows;
  for (const PlannedGroup& group : expand(spec)) {
    for (const PlannedPoint& planned : group.points) {
      const bool asked =
          spec.variants.empty() ||
          std::ranges::find(spec.variants, planned.point.variant) != spec.variants.end();
      if (asked) {
        rows.push_back(cost_row(group, planned, rate_gflops));
      }
    }
  }
  if (rows.empty()) {
    fmt::print(stderr, "deformer-bench: the filter left no point\n");
    return kUndecided;
  }
  if (format == "json") {
    print_json("cost", rows);
  } else {
    print_tables("cost", {table_of(rows, rate_gflops)}, format);
  }
  return kDone;
}

}  // namespace deformer::cli
