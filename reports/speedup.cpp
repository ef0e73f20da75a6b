#include "reports/speedup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "model/types.hpp"
#include "profilers/statistics.hpp"
#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

// ---- rows
// ------------------------------------------------------------------------------------------

struct Row {
  const Json* record;
  const Json* full;    ///< the `full` it is compared with; nullptr when not among the records
  std::size_t number;  ///< from 1, as printed
};

std::string text_or(const Json& record, std::string_view path, std::string_view otherwise) {
  return text_field(record, path).value_or(std::string(otherwise));
}

/// full, decomposed, cached; anything else behind them.
int variant_rank(const Json& record) {
  const auto variant = parse_variant(text_or(record, "point.variant", ""));
  return variant ? static_cast<int>(*variant) : 3;
}

/// The records in the order shown: groups as they first appear, and within one by variant, then k.
std::vector<const Json*> ordered(const std::vector<Json>& records) {
  struct Place {
    std::size_t group;
    int variant;
    double split;
    const Json* record;
  };
  std::map<std::string, std::size_t> groups;
  std::vector<Place> places;
  for (const Json& record : records) {
    const auto group =
        groups.try_emplace(text_or(record, "group", ""), groups.size()).first->second;
    const double split = number_field(record, "point.split").value_or(0);
    places.push_back({group, variant_rank(record), split, &record});
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(a.group, a.variant, a.split) < std::tie(b.group, b.variant, b.split);
  });
  std::vector<const Json*> result;
  for (const Place& place : places) result.push_back(place.record);
  return result;
}

/// Identity of one measurement of a point: its key and its set.
std::string measurement(const Json& record, std::string_view key_path, std::string_view set_path) {
  return text_or(record, key_path, "") + '/' + text_or(record, set_path, "");
}

std::vector<Row> rows_of(const std::vector<Json>& records) {
  std::map<std::string, const Json*> fulls;
  for (const Json& record : records) {
    if (variant_rank(record) == 0) fulls.emplace(measurement(record, "key", "set"), &record);
  }
  std::vector<Row> rows;
  for (const Json* record : ordered(records)) {
    const auto full = fulls.find(measurement(*record, "speedup.versus.key", "speedup.versus.set"));
    rows.push_back({record, full == fulls.end() ? nullptr : full->second, rows.size() + 1});
  }
  return rows;
}

// ---- what a record's status means
// --------------------------------------------------------------------

bool is_ok(const Row& row) {
  const Json* parity = field(*row.record, "parity.ok");
  return text_or(*row.record, "status", "") == "ok" &&
         (parity == nullptr || *parity != Json(false));
}

bool is_unchecked(const Row& row) {
  return is_ok(row) && field(*row.record, "parity") == nullptr;
}

bool stopped_by_time(const Row& row) {
  return is_ok(row) && text_or(*row.record, "time.stopped", "") == "time";
}

/// "ok", "unchecked", "not judged ...", "INVALID max_abs 0.31", "skipped", "failed".
std::string status_text(const Row& row) {
  if (is_unchecked(row)) return "unchecked";
  std::string errors;
  if (const auto worst = number_field(*row.record, "parity.max_abs")) {
    errors += fmt::format(" max_abs {:.2g}", *worst);
  }
  if (const auto cosine = number_field(*row.record, "parity.cosine_min")) {
    errors += fmt::format(" cosine {:.4f}", *cosine);
  }
  if (is_ok(row)) return field(*row.record, "parity.ok") ? "ok" : "not judged" + errors;
  const std::string status = text_or(*row.record, "status", "no status");
  return status == "invalid" || status == "ok" ? "INVALID" + errors : status;
}

// ---- columns
// -----------------------------------------------------------------------------------------

enum class Show {
  always,
  when_known,      ///< some row has a value
  when_not_one,    ///< some row differs from 1
  when_different,  ///< the rows differ; what they share goes to the title, said by `phrase`
  with_throughput  ///< some row has several instances, or lengths that vary within its batch
};

struct Metric {
  Column column;
  Show show;
  Cell (*cell)(const Row&);
  /// How the title says it; for the first row that has a value.
  std::string (*phrase)(const Row&, const std::string& value) = nullptr;
};

template <typename Human>
Cell number_cell(const Row& row, std::string_view path, Human human) {
  const auto value = number_field(*row.record, path);
  return value ? Cell(human(*value)) : std::nullopt;
}

std::string gigaflops(double rate) {
  return fmt::format("{:.{}f}", rate, rate < 100 ? 1 : 0);
}

/// Speedups of rows that are not ok are not shown.
template <typename Human>
Cell ok_cell(const Row& row, std::string_view path, Human human) {
  return is_ok(row) ? number_cell(row, path, human) : std::nullopt;
}

Cell time_interval_cell(const Row& row) {
  const auto centre = number_field(*row.record, "time.median");
  const auto low = number_field(*row.record, "time.ci_low");
  const auto high = number_field(*row.record, "time.ci_high");
  if (!centre || !low || !high) return std::nullopt;
  return human_time_interval(*centre, *low, *high);
}

Cell speedup_interval_cell(const Row& row) {
  const auto low = number_field(*row.record, "speedup.ci_low");
  const auto high = number_field(*row.record, "speedup.ci_high");
  if (!is_ok(row) || !low || !high) return std::nullopt;
  return human_ratio_interval(*low, *high);
}

Cell roof_cell(const Row& row) {
  const Json* full = variant_rank(*row.record) == 0 ? row.record : row.full;
  if (full == nullptr) return std::nullopt;
  const auto fraction = number_field(*full, "achieved.roof_fraction");
  return fraction ? Cell(human_percent(*fraction)) : std::nullopt;
}

Cell rounds_cell(const Row& row) {
  const auto rounds = text_field(*row.record, "time.rounds");
  return rounds ? Cell(*rounds + (stopped_by_time(row) ? "*" : "")) : std::nullopt;
}

Cell cached_only(const Row& row, std::string_view path, std::string_view otherwise) {
  const bool cached = variant_rank(*row.record) == static_cast<int>(Variant::cached);
  return cached ? Cell(text_or(*row.record, path, otherwise)) : std::nullopt;
}

/// Dtype of the stored passages; named in the title only where it is not that of the computation.
std::string cache_phrase(const Row& row, const std::string& value) {
  return value == text_or(*row.record, "point.dtype", "") ? "" : ", " + value + " cache";
}

std::string threads_phrase(const Row&, const std::string& value) {
  return ", " + value + (value == "1" ? " thread" : " threads");
}

/// For settings with a neutral value, which goes without saying.
std::string unless(const std::string& value, std::string_view neutral, std::string_view prefix) {
  return value == neutral ? "" : fmt::format(", {}{}", prefix, value);
}

/// All columns from left to right. A new metric is a new line here.
const std::vector<Metric>& metrics() {
  // clang-format off
  static const std::vector<Metric> list = {
      {{"row", "#", "", "Number of the row"}, Show::always,
       [](const Row& r) { return Cell(std::to_string(r.number)); }},
      {{"model", "model", "", "Model", true}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.model"); }},
      {{"task", "task", "", "Task whose lengths these are", true}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.task"); }},
      {{"question", "q", "tokens", "Tokens of a question"}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.question"); }},
      {{"passage", "p", "tokens", "Tokens of a passage"}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.passage"); }},
      {{"split", "k", "layers", "Layers that run on question and passage apart"}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.split"); }},
      {{"batch", "b", "items", "Items of a batch"}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.batch"); }},
      {{"r", "r", "questions", "Questions of an item"}, Show::when_not_one,
       [](const Row& r) { return Cell(text_or(*r.record, "point.r", "1")); }},
      {{"c", "c", "passages", "Passages of an item"}, Show::when_not_one,
       [](const Row& r) { return Cell(text_or(*r.record, "point.c", "1")); }},
      {{"variant", "variant", "", "full, decomposed or cached", true}, Show::always,
       [](const Row& r) { return text_field(*r.record, "point.variant"); }},
      {{"backend", "backend", "", "Backend", true}, Show::when_different,
       [](const Row& r) { return text_field(*r.record, "point.backend"); },
       [](const Row&, const std::string& v) { return ", " + v; }},
      {{"dtype", "dtype", "", "Type computed in", true}, Show::when_different,
       [](const Row& r) { return text_field(*r.record, "point.dtype"); },
       [](const Row&, const std::string& v) { return " " + v; }},
      {{"cache_dtype", "cache", "", "Type the passages are stored in", true}, Show::when_different,
       [](const Row& r) { return text_field(*r.record, "point.cache_dtype"); }, cache_phrase},
      {{"cache_at", "cached at", "", "Where the passages are stored", true}, Show::when_different,
       [](const Row& r) { return cached_only(r, "point.cache_at", "memory"); },
       [](const Row&, const std::string& v) { return unless(v, "memory", "cached at "); }},
      {{"passages", "pool", "passages", "Passages in the pool"}, Show::when_different,
       [](const Row& r) { return cached_only(r, "point.passages", "auto"); },
       [](const Row&, const std::string& v) { return unless(v, "auto", "pool of "); }},
      {{"threads", "threads", "", "Threads"}, Show::when_different,
       [](const Row& r) { return text_field(*r.record, "point.threads"); }, threads_phrase},
      {{"order", "order", "", "Which text stands first", true}, Show::when_different,
       [](const Row& r) { return Cell(text_or(*r.record, "point.order", "question-first")); },
       [](const Row&, const std::string& v) { return unless(v, "question-first", ""); }},
      {{"lengths", "lengths", "", "Lengths within a batch", true}, Show::when_different,
       [](const Row& r) { return Cell(text_or(*r.record, "point.lengths", "fixed")); },
       [](const Row&, const std::string& v) { return unless(v, "fixed", "lengths "); }},
      {{"text", "text", "", "Digest of the real text", true}, Show::when_different,
       [](const Row& r) { return Cell(text_or(*r.record, "point.text", "none")); },
       [](const Row&, const std::string& v) { return unless(v, "none", "text "); }},
      {{"seed", "seed", "", "Seed of weights and ids"}, Show::when_different,
       [](const Row& r) { return text_field(*r.record, "point.seed"); }},
      {{"instances", "instances", "", "Sessions side by side"}, Show::when_different,
       [](const Row& r) { return Cell(text_or(*r.record, "point.instances", "1")); },
       [](const Row&, const std::string& v) { return v == "1" ? "" : ", " + v + " instances"; }},
      {{"median_ns", "median", "ns", "Median time of a forward"}, Show::always,
       [](const Row& r) { return number_cell(r, "time.median", human_time); }},
      {{"median_interval_ns", "95 % interval", "ns", "95 % interval of the median"}, Show::always,
       time_interval_cell},
      {{"items_per_s", "items/s", "1/s", "Items of all instances a second"}, Show::with_throughput,
       [](const Row& r) { return number_cell(r, "throughput.items_per_s", human_rate); }},
      {{"tokens_per_s", "tokens/s", "1/s", "Real tokens of all instances a second"},
       Show::with_throughput,
       [](const Row& r) { return number_cell(r, "throughput.tokens_per_s", human_rate); }},
      {{"gflops", "GFLOP/s", "GFLOP/s", "FLOPs of all instances a second"}, Show::with_throughput,
       [](const Row& r) { return number_cell(r, "achieved.gflops", human_rate); }},
      {{"speedup", "speedup", "x", "Time of full over this one's, of the same rounds"}, Show::always,
       [](const Row& r) { return ok_cell(r, "speedup.median", human_ratio); }},
      {{"speedup_interval", "95 % interval", "x", "95 % interval of the speedup"}, Show::always,
       speedup_interval_cell},
      {{"flop_ratio", "FLOP ratio", "x", "FLOPs of full over this one's"}, Show::always,
       [](const Row& r) { return number_cell(r, "speedup.flop_ratio", human_ratio); }},
      {{"efficiency", "efficiency", "%", "Speedup over FLOP ratio"}, Show::always,
       [](const Row& r) { return ok_cell(r, "speedup.efficiency", human_percent); }},
      {{"gflops", "GFLOP/s", "GFLOP/s", "FLOPs of GEMM and attention over the median time"},
       Show::when_known, [](const Row& r) { return number_cell(r, "achieved.gflops", gigaflops); }},
      {{"full_roof_fraction", "full's roof", "%", "Share of the measured roof that full reaches"},
       Show::when_known, roof_cell},
      {{"peak_bytes", "memory", "bytes", "Peak memory"}, Show::always,
       [](const Row& r) { return number_cell(r, "memory.peak_bytes", human_bytes); }},
      {{"rounds", "rounds", "", "Rounds measured"}, Show::always, rounds_cell},
      {{"status", "parity", "", "Agreement with the reference, or why there is none", true},
       Show::always, [](const Row& r) { return Cell(status_text(r)); }},
  };
  // clang-format on
  return list;
}

std::set<std::string> values_of(const Metric& metric, const std::vector<Row>& rows) {
  std::set<std::string> values;
  for (const Row& row : rows) {
    if (const Cell cell = metric.cell(row)) values.insert(*cell);
  }
  return values;
}

/// Where the time of a forward alone does not compare rows.
bool has_throughput(const Row& row) {
  return text_or(*row.record, "point.instances", "1") != "1" ||
         field(*row.record, "point.lengths") != nullptr;
}

bool is_shown(const Metric& metric, const std::vector<Row>& rows) {
  switch (metric.show) {
    case Show::always:
      return true;
    case Show::when_known:
      return !values_of(metric, rows).empty();
    case Show::when_not_one:
      return !rows.empty() && values_of(metric, rows) != std::set<std::string>{"1"};
    case Show::when_different:
      return values_of(metric, rows).size() > 1;
    case Show::with_throughput:
      return std::ranges::any_of(rows, has_throughput);
  }
  return true;
}

/// What every row shares: "cpu f32, 2 threads".
std::string shared_settings(const std::vector<Row>& rows) {
  std::string title;
  for (const Metric& metric : metrics()) {
    if (metric.phrase == nullptr || values_of(metric, rows).size() != 1) continue;
    const auto known = std::find_if(rows.begin(), rows.end(),
                                    [&](const Row& row) { return metric.cell(row).has_value(); });
    title += metric.phrase(*known, *metric.cell(*known));
  }
  const std::size_t start = title.find_first_not_of(", ");
  return start == std::string::npos ? "" : title.substr(start);
}

// ---- means
// -------------------------------------------------------------------------------------------

bool is_in_mean(const Row& row, Variant variant) {
  return variant_rank(*row.record) == static_cast<int>(variant) && is_ok(row) &&
         !is_unchecked(row) && positive_field(*row.record, "speedup.median");
}

/// Column name -> text of the mean row of a variant; empty when no row counts. The mean FLOP ratio
/// is that of the same rows, or nothing when one of them lacks it.
std::map<std::string, std::string> mean_cells(const std::vector<Row>& rows, Variant variant) {
  std::vector<double> speedups;
  std::vector<double> flop_ratios;
  for (const Row& row : rows) {
    if (!is_in_mean(row, variant)) continue;
    speedups.push_back(*positive_field(*row.record, "speedup.median"));
    flop_ratios.push_back(positive_field(*row.record, "speedup.flop_ratio").value_or(0));
  }
  const auto speedup = geometric_mean(speedups);
  if (!speedup) return {};
  std::map<std::string, std::string> cells = {{"model", "geometric mean"},
                                              {"variant", std::string(to_string(variant))},
                                              {"speedup", human_ratio(*speedup)},
                                              {"status", fmt::format("of {}", speedups.size())}};
  if (const auto flop_ratio = geometric_mean(flop_ratios)) {
    cells["flop_ratio"] = human_ratio(*flop_ratio);
    cells["efficiency"] = human_percent(*speedup / *flop_ratio);
  }
  return cells;
}

void append_means(Table& table, const std::vector<Row>& rows) {
  for (const Variant variant : {Variant::decomposed, Variant::cached}) {
    auto cells = mean_cells(rows, variant);
    if (cells.empty()) continue;
    std::vector<Cell> line;
    for (const Column& column : table.columns) line.emplace_back(std::move(cells[column.name]));
    table.rows.push_back(std::move(line));
  }
}

// ---- notes
// -------------------------------------------------------------------------------------------

void append_marks(Table& table, const std::vector<Row>& rows) {
  if (std::any_of(rows.begin(), rows.end(), stopped_by_time)) {
    table.notes.emplace_back("* the time ran out before the 95 % interval was within ±1 %");
  }
  if (std::any_of(rows.begin(), rows.end(), is_unchecked)) {
    table.notes.emplace_back("unchecked: not compared with the reference; in no mean");
  }
}

void append_reasons(Table& table, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto reason = text_field(*row.record, "reason");
    if (is_ok(row) || !reason || reason->empty()) continue;
    const std::string status = text_or(*row.record, "status", "no status");
    table.notes.push_back(fmt::format("#{} {}: {}", row.number, status, *reason));
  }
}

/// A round is discarded whole, for all variants, so it is counted once a set, not once a record.
void append_discarded(Table& table, const std::vector<Row>& rows) {
  std::map<std::string, double> sets;
  for (const Row& row : rows) {
    const auto discarded = positive_field(*row.record, "time.discarded");
    const auto set = text_field(*row.record, "set");
    if (!discarded) continue;
    const std::string id =
        set ? measurement(*row.record, "run", "set") : fmt::format("#{}", row.number);
    sets[id] = std::max(sets[id], *discarded);
  }
  double total = 0;
  for (const auto& [id, discarded] : sets) total += discarded;
  if (total > 0) {
    table.notes.push_back(
        fmt::format("{:.0f} {} discarded: the machine's arithmetic rate fell during {}", total,
                    total == 1 ? "round" : "rounds", total == 1 ? "it" : "them"));
  }
}

/// What was slowed down on purpose must never pass for a measurement.
void append_injected(Table& table, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (const auto injected = text_field(*row.record, "injected")) {
      table.notes.push_back(fmt::format(
          "#{} NOT A MEASUREMENT: a slowdown was planted, --inject {}", row.number, *injected));
    }
  }
}

void append_reproducers(Table& table, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (const auto command = text_field(*row.record, "reproduce")) {
      table.notes.push_back(fmt::format("#{}  {}", row.number, *command));
    }
  }
}

}  // namespace

Table speedup_table(const std::vector<Json>& records, bool reproducers) {
  const std::vector<Row> rows = rows_of(records);
  Table table;
  table.title = shared_settings(rows);
  table.rows.resize(rows.size());
  for (const Metric& metric : metrics()) {
    if (!is_shown(metric, rows)) continue;
    table.columns.push_back(metric.column);
    for (const Row& row : rows) table.rows[row.number - 1].push_back(metric.cell(row));
  }
  append_means(table, rows);
  append_marks(table, rows);
  append_reasons(table, rows);
  append_discarded(table, rows);
  append_injected(table, rows);
  if (reproducers) append_reproducers(table, rows);
  return table;
}

}  // namespace deformer
