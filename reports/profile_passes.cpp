// Tables of what `profile` hangs on the ranges beside time: counters, memory, energy, NVTX.

#include <fmt/format.h>

#include "reports/fields.hpp"
#include "reports/profile.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

/// The array or object at `path`; an empty one where it is something else.
const Json& items(const Json& record, std::string_view path) {
  static const Json none = Json::array();
  const Json* found = field(record, path);
  return found != nullptr && found->is_structured() ? *found : none;
}

/// A member by its very name, which may hold dots.
const Json& member(const Json& row, const std::string& name) {
  static const Json none;
  const auto found = row.is_object() ? row.find(name) : row.end();
  return found == row.end() ? none : *found;
}

std::string name_of(const Json& record) {
  return text_field(record, "name").value_or("?");
}

std::string title_with(const std::string& name, const std::string& unit) {
  return unit.empty() || unit == "ns" || unit == "FLOP" ? name : name + ", " + unit;
}

Cell count_cell(const Json& value, const std::string& unit) {
  if (!value.is_number()) {
    return std::nullopt;
  }
  const auto number = value.get<double>();
  return unit == "ns"     ? Cell(human_time(number))
         : unit == "FLOP" ? Cell(human_flops(number))
                          : Cell(human_rate(number));
}

/// A column of the table: an event or a metric.
struct Count {
  std::string name, unit;
  bool metric = false;
};

std::vector<Count> counts_of(const Json& counters) {
  std::vector<Count> counts;
  for (const Json& event : items(counters, "events")) {
    if (text_field(event, "source")) {
      counts.push_back(
          {text_field(event, "name").value_or("?"), text_field(event, "unit").value_or(""), false});
    }
  }
  const Json& metrics = items(counters, "metrics");
  for (auto metric = metrics.begin(); metrics.is_object() && metric != metrics.end(); ++metric) {
    if (number_field(*metric, "value")) {
      counts.push_back({metric.key(), text_field(*metric, "unit").value_or(""), true});
    }
  }
  return counts;
}

std::vector<Cell> counter_row(const std::string& name, const Json& values, const Json& metrics,
                              const std::vector<Count>& counts) {
  std::vector<Cell> row{name};
  for (const Count& count : counts) {
    row.push_back(count.metric
                      ? count_cell(member(member(metrics, count.name), "value"), count.unit)
                      : count_cell(member(values, count.name), count.unit));
  }
  return row;
}

void add_counter_notes(const Json& counters, Table& table) {
  for (const Json& event : items(counters, "events")) {
    if (const auto missing = text_field(event, "missing")) {
      table.notes.push_back(
          fmt::format("no {}: {}", text_field(event, "name").value_or("?"), *missing));
    }
  }
  if (const auto trouble = text_field(counters, "trouble")) {
    table.notes.push_back("refused when all were counted together: " + *trouble);
  }
  if (text_field(counters, "multiplexed") == "true") {
    table.notes.push_back(
        "the processor has fewer counters than events: they took turns and counts are "
        "extrapolated");
  }
  const auto counted = number_field(counters, "flops.counted");
  const auto modelled = number_field(counters, "flops.modelled");
  const auto difference = number_field(counters, "flops.difference");
  if (counted && modelled && difference) {
    table.notes.push_back(fmt::format(
        "FLOPs: {} counted, {} by the cost model, {:+.1f} %{}", human_flops(*counted),
        human_flops(*modelled), 100 * *difference,
        text_field(counters, "flops.flagged") == "true" ? ": FLAGGED, they should agree" : ""));
  }
}

void add_fact(Table& table, const Json& record, std::string_view path, const char* what,
              std::string (*show)(double), const char* how) {
  if (const auto value = number_field(record, path)) {
    table.rows.push_back({what, show(*value), how});
  }
}

std::string whole_number(double count) {
  return fmt::format("{:.0f}", count);
}

/// Requested bytes by both books, each with what it is less than full's.
void add_requested(Table& table, const Json& record) {
  struct Book {
    const char *bytes, *less, *what, *how;
  };
  for (const Book& book :
       {Book{"cost.bytes_requested", "speedup.requested_reduction", "requested, by the plan",
             "Outputs of all operations, none fused: what the paper calls memory"},
        Book{"memory.requested_bytes", "memory.requested_reduction", "requested, by this backend",
             "Its buffers of one forward, where operations are fused"}}) {
    const auto bytes = number_field(record, book.bytes);
    const auto less = number_field(record, book.less);
    if (bytes) {
      table.rows.push_back(
          {book.what,
           less && *less != 0
               ? fmt::format("{} ({} less than full)", human_bytes(*bytes), human_percent(*less))
               : human_bytes(*bytes),
           book.how});
    }
  }
}

}  // namespace

Table counter_table(const Json& record) {
  const Json& counters = items(record, "counters");
  const std::vector<Count> counts = counts_of(counters);
  Table table;
  table.title = name_of(record) + ": counters, of one forward";
  table.columns = {{"name", "operation", "", "All threads together", true}};
  for (const Count& count : counts) {
    table.columns.push_back({count.name, title_with(count.name, count.unit), count.unit,
                             count.metric ? "Calculated from the counts" : "Counted"});
  }
  if (!counts.empty()) {
    for (const Json& row : items(counters, "operations")) {
      table.rows.push_back(counter_row(text_field(row, "name").value_or("?"), member(row, "values"),
                                       member(row, "metrics"), counts));
    }
    table.rows.push_back(
        counter_row("total", member(counters, "total"), member(counters, "metrics"), counts));
  }
  add_counter_notes(counters, table);
  return table;
}

Table kernel_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": what the device ran in one forward";
  table.columns = {{"phase", "phase", "", "Phase of the plan", true},
                   {"name", "kernel", "", "Kernel, or copies", true},
                   {"count", "count", "", "How often"},
                   {"ns", "time", "ns", "By the device's clock, all of them together"}};
  for (const Json& row : items(record, "kernels.rows")) {
    const double ns = number_field(row, "ns").value_or(0);
    table.rows.push_back(
        {text_field(row, "phase").value_or("-"), text_field(row, "name").value_or("?"),
         Cell::number(number_field(row, "count")), Cell::number(ns, human_time(ns))});
  }
  if (const auto missing = text_field(record, "kernels.missing")) {
    table.notes.push_back("no kernels: " + *missing);
  }
  return table;
}

Table resource_table(const Json& record) {
  Table table;
  table.title = name_of(record) + ": memory, energy and ranges";
  table.columns = {{"what", "what", "", "What was looked at", true},
                   {"value", "value", "", "What was found"},
                   {"how", "measured as", "", "By what measurement of its own", true}};
  const char* sampled = "Looked at by another process while forwards ran";
  add_fact(table, record, "memory.sampled.rss_peak_bytes", "resident memory", human_bytes, sampled);
  add_fact(table, record, "memory.sampled.minor_faults", "minor faults", whole_number, sampled);
  add_fact(table, record, "memory.sampled.major_faults", "major faults", whole_number, sampled);
  add_fact(table, record, "memory.sampled.samples", "samples", whole_number, sampled);
  add_fact(table, record, "memory.peak_bytes", "arena, planned", human_bytes,
           "Most bytes of the plan that are alive at once");
  add_fact(table, record, "memory.planned_largest_bytes", "arena, largest plan", human_bytes,
           "Of all sessions that share it: variants, and encoding passages");
  add_fact(table, record, "memory.allocated_bytes", "arena, allocated", human_bytes,
           "Size of the block");
  add_requested(table, record);
  add_fact(
      table, record, "energy.joules_per_example", "energy of an example",
      [](double joules) { return human_rate(joules) + " J"; }, "Counter of the processor packages");
  add_fact(table, record, "nvtx.ns_per_range", "opening and closing an NVTX range", human_time,
           "Many of them in a row");
  for (const auto& [path, what] :
       {std::pair{"memory.sampled.missing", "memory"}, std::pair{"energy.missing", "energy"},
        std::pair{"nvtx.missing", "NVTX"}}) {
    if (const auto missing = text_field(record, path)) {
      table.notes.push_back(fmt::format("no {}: {}", what, *missing));
    }
  }
  return table;
}

}  // namespace deformer
