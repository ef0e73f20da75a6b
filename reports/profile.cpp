#include "reports/profile.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

template <typename Show>
Cell shown(const Json& row, std::string_view path, Show show) {
  const auto value = number_field(row, path);
  return value ? Cell(show(*value)) : std::nullopt;
}

std::string name_of(const Json& record) {
  return text_field(record, "name").value_or("?");
}

std::string signed_time(double ns) {
  return fmt::format("{}{}", ns < 0 ? '-' : '+', human_time(std::abs(ns)));
}

std::string whole_number(double count) {
  return fmt::format("{:.0f}", count);
}

/// A ratio with its interval, by how much it is off 1: "+0.02 % [-0.05, +0.09]".
std::string less_one(const Json& record, const std::string& at) {
  const auto percent = [&](const char* name) {
    return 100 * (number_field(record, at + name).value_or(1) - 1);
  };
  return fmt::format("{:+.2f} % [{:+.2f}, {:+.2f}]", percent(".ratio"), percent(".ci_low"),
                     percent(".ci_high"));
}

Cell rate(double flops, double ns) {
  return flops > 0 && ns > 0 ? Cell(human_rate(flops / ns)) : std::nullopt;
}

/// Phases by their rows of `ranges`, or where there are none by `phases`.
double whole_ns(const Json& record) {
  const Json& ranges = array_field(record, "ranges");
  if (!ranges.empty()) {
    return number_field(ranges.front(), "median_ns").value_or(0);
  }
  return number_field(record, "time.median").value_or(0);
}

std::vector<const Json*> sorted_by_loss(const Json& record) {
  std::vector<const Json*> rows;
  for (const Json& row : array_field(record, "operations")) {
    if (number_field(row, "lost_ns")) {
      rows.push_back(&row);
    }
  }
  std::ranges::stable_sort(rows, std::ranges::greater{},
                           [](const Json* row) { return *number_field(*row, "lost_ns"); });
  return rows;
}

}  // namespace

Table phase_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": phases";
  table.columns = {{"name", "phase", "", "Phase of the plan", true},
                   {"median_ns", "time", "ns", "Median of the rounds"},
                   {"share", "share", "%", "Of the sum of the phases"},
                   {"flops", "FLOPs", "", "GEMM and attention"},
                   {"gflops", "GFLOP/s", "", "FLOPs over time"},
                   {"arena_bytes", "arena", "bytes", "Activations alive at once"},
                   {"allocations", "allocations", "", "By operator new, in one run"}};
  double sum_ns = 0;
  for (const Json& row : array_field(record, "phases")) {
    sum_ns += number_field(row, "median_ns").value_or(0);
  }
  for (const Json& row : array_field(record, "phases")) {
    const double ns = number_field(row, "median_ns").value_or(0);
    const double flops = number_field(row, "flops").value_or(0);
    table.rows.push_back({text_field(row, "name").value_or("?"), human_time(ns),
                          sum_ns > 0 ? Cell(human_percent(ns / sum_ns)) : std::nullopt,
                          flops > 0 ? Cell(human_flops(flops)) : std::nullopt, rate(flops, ns),
                          shown(row, "arena_bytes", human_bytes),
                          shown(row, "allocations", whole_number)});
  }
  return table;
}

Table layer_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": layers";
  table.columns = {{"path", "layer", "", "Phase and layer", true},
                   {"median_ns", "time", "ns", "Median of the rounds"},
                   {"gflops", "GFLOP/s", "", "FLOPs over time"}};
  for (const Json& row : array_field(record, "ranges")) {
    if (text_field(row, "level") == "layer") {
      const double ns = number_field(row, "median_ns").value_or(0);
      table.rows.push_back({text_field(row, "path").value_or("?"), human_time(ns),
                            rate(number_field(row, "flops").value_or(0), ns)});
    }
  }
  return table;
}

/// How the peak of products is reached, and what multiply-adds reach of it: of f32 by AMX only,
/// where the two differ.
std::optional<std::string> products_by(const Json& record) {
  for (const Json& row : array_field(record, "operations")) {
    const auto tiles_ns = positive_field(row, "roofs.products_ns");
    const auto vector_ns = positive_field(row, "roofs.products_vector_ns");
    const auto by = text_field(row, "roofs.products_by");
    if (tiles_ns && vector_ns && by && text_field(record, "point.dtype") == "f32" &&
        *tiles_ns < *vector_ns) {
      return fmt::format("{}; multiply-adds (FMA) reach {} of it", *by,
                         human_percent(*tiles_ns / *vector_ns));
    }
  }
  return std::nullopt;
}

Table operation_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": operations";
  table.columns = {
      {"name", "operation", "", "Summed over layers and phases", true},
      {"count", "times", "", "How often it runs"},
      {"median_ns", "time", "ns", "Median of the rounds"},
      {"share", "share", "%", "Of the whole run"},
      {"flops", "FLOPs", "", "GEMM and attention"},
      {"gflops", "GFLOP/s", "", "FLOPs over time"},
      {"bytes", "bytes", "bytes", "Weights and activations, each read or written once"},
      {"intensity", "FLOP/B", "", "FLOPs over bytes"},
      {"roof_fraction", "of its roof", "%", "Ideal over measured time"},
      {"imbalance", "imbalance", "%", "Busiest thread over the mean, less 1"},
      {"allocations", "allocations", "", "By operator new, in one run"}};
  const double whole = whole_ns(record);
  double sum_ns = 0;
  for (const Json& row : array_field(record, "operations")) {
    const double ns = number_field(row, "median_ns").value_or(0);
    sum_ns += ns;
    const double bytes = number_field(row, "bytes_weights").value_or(0) +
                         number_field(row, "bytes_activations").value_or(0);
    const auto flops = positive_field(row, "flops");
    table.rows.push_back(
        {text_field(row, "name").value_or("?"), text_field(row, "count"), human_time(ns),
         whole > 0 ? Cell(human_percent(ns / whole)) : std::nullopt,
         flops ? Cell(human_flops(*flops)) : std::nullopt, rate(flops.value_or(0), ns),
         human_bytes(bytes), shown(row, "intensity", human_rate),
         shown(row, "roof_fraction", human_percent), shown(row, "imbalance", human_percent),
         shown(row, "allocations", whole_number)});
  }
  if (const auto by = products_by(record)) {
    table.notes.push_back("roof of products: " + *by);
  }
  if (const auto between = number_field(record, "between_ns")) {
    table.rows.push_back({"(between)", std::nullopt, human_time(*between),
                          whole > 0 ? Cell(human_percent(*between / whole)) : std::nullopt});
    table.notes.push_back(fmt::format(
        "(between): outside of operations, as entering and leaving parallel regions. Operations: "
        "{} of {}, {}",
        human_time(sum_ns), human_time(whole), human_percent(whole > 0 ? sum_ns / whole : 0)));
  }
  for (const auto& [level, what] : {std::pair{"phase", "phases"}, std::pair{"op", "operations"}}) {
    const auto ratio = number_field(record, fmt::format("overhead.{}.ratio", level));
    const auto low = number_field(record, fmt::format("overhead.{}.ci_low", level));
    const auto high = number_field(record, fmt::format("overhead.{}.ci_high", level));
    const auto replayed = number_field(record, fmt::format("overhead.{}.replayed_ns", level));
    if (ratio && low && high) {
      table.notes.push_back(fmt::format(
          "recording {} costs {}, {:.0f} pairs with runs without{}{}; it is not subtracted", what,
          less_one(record, fmt::format("overhead.{}", level)),
          number_field(record, fmt::format("overhead.{}.rounds", level)).value_or(0),
          number_field(record, fmt::format("overhead.{}.control.ci_low", level))
              ? fmt::format(" (these among themselves: {})",
                            less_one(record, fmt::format("overhead.{}.control", level)))
              : "",
          replayed && whole > 0 ? fmt::format("; its stamps alone take {}, {:.3f} %",
                                              human_time(*replayed), 100 * *replayed / whole)
                                : ""));
    }
  }
  return table;
}

Table loss_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": lost time, largest first";
  table.columns = {{"name", "operation", "", "Summed over layers and phases", true},
                   {"median_ns", "time", "ns", "Median of the rounds"},
                   {"ideal_ns", "ideal", "ns", "At the measured roofs"},
                   {"lost_ns", "lost", "ns", "Time less ideal"},
                   {"compute", "compute", "ns", "Arithmetic below the peak"},
                   {"bandwidth", "bandwidth", "ns", "Fetching weights, or bytes below the roof"},
                   {"fork_join", "fork-join", "ns", "Meeting at barriers"},
                   {"imbalance", "imbalance", "ns", "Busiest thread less the mean"},
                   {"other", "other", "ns", "Below half of the roof: not known"},
                   {"says", "bound by", "", "What bounds it most", true}};
  for (const Json* row : sorted_by_loss(record)) {
    table.rows.push_back(
        {text_field(*row, "name").value_or("?"), shown(*row, "median_ns", human_time),
         shown(*row, "ideal_ns", human_time), shown(*row, "lost_ns", signed_time),
         shown(*row, "loss.compute", human_time), shown(*row, "loss.bandwidth", human_time),
         shown(*row, "loss.fork_join", human_time), shown(*row, "loss.imbalance", human_time),
         shown(*row, "loss.other", human_time), text_field(*row, "says")});
  }
  return table;
}

Table waterfall_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": from the FLOP ratio to the measured one";
  table.columns = {{"step", "step", "", "What is taken off", true},
                   {"ns", "time", "ns", "Added to what the FLOP ratio promises"},
                   {"ratio", "ratio", "x", "What is left"},
                   {"what", "measured as", "", "By what measurement of its own", true}};
  for (const Json& row : array_field(record, "waterfall.steps")) {
    const auto ns = number_field(row, "ns");
    table.rows.push_back({text_field(row, "step").value_or("?"),
                          ns && *ns != 0 ? Cell(signed_time(*ns)) : std::nullopt,
                          shown(row, "ratio", human_ratio), text_field(row, "what")});
  }
  if (const auto remainder = number_field(record, "waterfall.remainder_fraction")) {
    table.notes.push_back(
        fmt::format("remainder: {:+.1f} % of the variant's time", 100 * *remainder));
  }
  return table;
}

std::vector<Table> profile_tables(const Json& record) {
  std::vector<Table> tables{phase_table(record)};
  if (!array_field(record, "operations").empty()) {
    tables.push_back(operation_table(record));
    if (!sorted_by_loss(record).empty()) {
      tables.push_back(loss_table(record));
    }
  } else if (!array_field(record, "ranges").empty()) {
    tables.push_back(layer_table(record));
  }
  if (!array_field(record, "waterfall.steps").empty()) {
    tables.push_back(waterfall_table(record));
  }
  for (Table table : {kernel_table(record), counter_table(record), resource_table(record)}) {
    if (!table.rows.empty() || !table.notes.empty()) {
      tables.push_back(std::move(table));
    }
  }
  if (const auto injected = text_field(record, "injected")) {
    for (Table& table : tables) {
      table.notes.push_back("NOT A MEASUREMENT: a slowdown was planted, --inject " + *injected);
    }
  }
  return tables;
}

Roofline roofline_of(const Json& record, std::vector<RooflineCeiling> ceilings) {
  Roofline roofline{name_of(record), std::move(ceilings), {}};
  if (const auto injected = text_field(record, "injected")) {
    roofline.title += " (NOT A MEASUREMENT: --inject " + *injected + ")";
  }
  for (const Json& row : array_field(record, "operations")) {
    const auto intensity = positive_field(row, "intensity");
    const auto ns = positive_field(row, "median_ns");
    const auto counted = positive_field(row, "flops");
    const auto flops = counted ? counted : positive_field(row, "flops_elementwise");
    if (intensity && ns && flops) {
      roofline.points.push_back({text_field(row, "name").value_or("?"), *intensity, *flops / *ns});
    }
  }
  return roofline;
}

}  // namespace deformer
