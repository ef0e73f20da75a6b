/// The columns of a report: what each takes from a record.

#include <fmt/format.h>

#include <algorithm>

#include "reports/fields.hpp"
#include "reports/record_row.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

std::string text_or(const Json& record, std::string_view path, std::string_view otherwise) {
  return text_field(record, path).value_or(std::string(otherwise));
}

bool is_cached(const Json& r) {
  return text_or(r, "point.variant", "") == "cached";
}

bool is_ok(const Json& r) {
  const Json* parity = field(r, "parity.ok");
  return text_or(r, "status", "") == "ok" && (parity == nullptr || *parity != Json(false));
}

Cell number(const Json& r, std::string_view path) {
  return Cell::number(number_field(r, path));
}

Cell number_or(const Json& r, std::string_view path, double neutral) {
  return Cell::number(number_field(r, path).value_or(neutral));
}

/// A number where it is one; else the text that stands there.
Cell scalar(const Json& r, std::string_view path) {
  if (const auto value = number_field(r, path)) return Cell::number(value);
  return text_field(r, path);
}

/// Speedups of rows that are not ok are not shown.
Cell ok_number(const Json& r, std::string_view path) {
  return is_ok(r) ? number(r, path) : Cell();
}

Cell interval(const Json& r, std::string_view centre, std::string_view low, std::string_view high) {
  return Cell::interval(number_field(r, centre), number_field(r, low), number_field(r, high));
}

Cell cached_only(const Json& r, std::string_view path, std::string_view otherwise) {
  return is_cached(r) ? Cell(text_or(r, path, otherwise)) : Cell();
}

Cell rounds_cell(const Json& r) {
  const auto rounds = number_field(r, "time.rounds");
  if (!rounds) return {};
  const bool by_time = is_ok(r) && text_or(r, "time.stopped", "") == "time";
  return by_time ? Cell::number(*rounds, fmt::format("{:.0f}*", *rounds)) : Cell::number(rounds);
}

/// For settings with a neutral value, which goes without saying.
std::string unless(const std::string& value, std::string_view neutral, std::string_view prefix) {
  return value == neutral ? "" : fmt::format(", {}{}", prefix, value);
}

std::vector<RecordColumn> setting_columns() {
  // clang-format off
  return {
      {{"name", "point", "", "Name of the point", true}, Show::on_request,
       [](const Json& r) -> Cell { return text_field(r, "name"); }},
      {{"model", "model", "", "Model", true}, Show::always,
       [](const Json& r) -> Cell { return text_field(r, "point.model"); }, nullptr, true},
      {{"task", "task", "", "Task whose lengths these are", true, Hint::text, Better::neither, 3}, Show::always,
       [](const Json& r) -> Cell { return text_field(r, "point.task"); }, nullptr, true},
      {{"question", "q", "tokens", "Tokens of a question", false, Hint::count}, Show::always,
       [](const Json& r) { return scalar(r, "point.question"); }, nullptr, true},
      {{"passage", "p", "tokens", "Tokens of a passage", false, Hint::count}, Show::always,
       [](const Json& r) { return scalar(r, "point.passage"); }, nullptr, true},
      {{"split", "k", "layers", "Layers that run on question and passage apart", false, Hint::count}, Show::always,
       [](const Json& r) { return scalar(r, "point.split"); }, nullptr, true},
      {{"batch", "b", "items", "Items of a batch", false, Hint::count}, Show::always,
       [](const Json& r) { return scalar(r, "point.batch"); }, nullptr, true},
      {{"r", "r", "questions", "Questions of an item", false, Hint::count}, Show::when_not_one,
       [](const Json& r) { return number_or(r, "point.r", 1); }, nullptr, true},
      {{"c", "c", "passages", "Passages of an item", false, Hint::count}, Show::when_not_one,
       [](const Json& r) { return number_or(r, "point.c", 1); }, nullptr, true},
      {{"variant", "variant", "", "full, decomposed or cached", true}, Show::always,
       [](const Json& r) -> Cell { return text_field(r, "point.variant"); }, nullptr, true},
      {{"backend", "backend", "", "Backend", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_field(r, "point.backend"); },
       [](const std::string& v) { return ", " + v; }, true},
      {{"dtype", "dtype", "", "Type computed in", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_field(r, "point.dtype"); },
       [](const std::string& v) { return " " + v; }, true},
      {{"cache_dtype", "cache", "", "Type the passages are stored in", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_field(r, "point.cache_dtype"); },
       [](const std::string& v) { return ", " + v + " cache"; }, true},
      {{"cache_at", "cached at", "", "Where the passages are stored", true}, Show::when_different,
       [](const Json& r) { return cached_only(r, "point.cache_at", "device"); },
       [](const std::string& v) { return unless(v, "device", "cached at "); }, true},
      {{"passages", "pool", "passages", "Passages in the pool"}, Show::when_different,
       [](const Json& r) { return cached_only(r, "point.passages", "auto"); },
       [](const std::string& v) { return unless(v, "auto", "pool of "); }, true},
      {{"cold", "cold", "", "Whether the device's cache was emptied before each forward", true}, Show::when_different,
       [](const Json& r) -> Cell { return field(r, "point.cold") != nullptr ? "cold" : "warm"; },
       [](const std::string& v) { return unless(v, "warm", ""); }, true},
      {{"threads", "threads", "", "Threads", false, Hint::count}, Show::when_different,
       [](const Json& r) { return scalar(r, "point.threads"); },
       [](const std::string& v) { return ", " + v + (v == "1" ? " thread" : " threads"); }, true},
      {{"order", "order", "", "Which text stands first", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_or(r, "point.order", "question-first"); },
       [](const std::string& v) { return unless(v, "question-first", ""); }, true},
      {{"lengths", "lengths", "", "Lengths within a batch", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_or(r, "point.lengths", "fixed"); },
       [](const std::string& v) { return unless(v, "fixed", "lengths "); }, true},
      {{"text", "text", "", "Digest of the real text", true}, Show::when_different,
       [](const Json& r) -> Cell { return text_or(r, "point.text", "none"); },
       [](const std::string& v) { return unless(v, "none", "text "); }, true},
      {{"seed", "seed", "", "Seed of weights and ids", false, Hint::count}, Show::when_different,
       [](const Json& r) { return scalar(r, "point.seed"); }, nullptr, true},
      {{"instances", "instances", "", "Sessions side by side", false, Hint::count}, Show::when_different,
       [](const Json& r) { return number_or(r, "point.instances", 1); },
       [](const std::string& v) { return v == "1" ? "" : ", " + v + " instances"; }, true},
      // Filled where runs of different machines are shown together.
      {{"machine", "machine", "", "Machine the row was measured on", true}, Show::when_different,
       [](const Json&) { return Cell(); }, nullptr, true},
  };
  // clang-format on
}

std::vector<RecordColumn> metric_columns() {
  // clang-format off
  return {
      {{"median_ns", "median", "ns", "Median time of a forward", false, Hint::duration, Better::lower}, Show::always,
       [](const Json& r) { return number(r, "time.median"); }},
      {{"median_interval_ns", "95 % interval", "ns", "95 % interval of the median", false, Hint::duration_interval, Better::neither, 6}, Show::always,
       [](const Json& r) { return interval(r, "time.median", "time.ci_low", "time.ci_high"); }},
      {{"p90_ns", "p90", "ns", "90th percentile of single forwards", false, Hint::duration, Better::lower}, Show::on_request,
       [](const Json& r) { return number(r, "time.p90"); }},
      {{"p99_ns", "p99", "ns", "99th percentile of single forwards", false, Hint::duration, Better::lower}, Show::on_request,
       [](const Json& r) { return number(r, "time.p99"); }},
      {{"min_ns", "min", "ns", "Fastest sample", false, Hint::duration, Better::lower}, Show::on_request,
       [](const Json& r) { return number(r, "time.min"); }},
      {{"mean_ns", "mean", "ns", "Mean of the samples", false, Hint::duration, Better::lower}, Show::on_request,
       [](const Json& r) { return number(r, "time.mean"); }},
      {{"stdev_ns", "stdev", "ns", "Standard deviation of the samples", false, Hint::duration}, Show::on_request,
       [](const Json& r) { return number(r, "time.stdev"); }},
      {{"items_per_s", "items/s", "1/s", "Items of all instances a second", false, Hint::rate, Better::higher}, Show::with_throughput,
       [](const Json& r) { return number(r, "throughput.items_per_s"); }},
      {{"tokens_per_s", "tokens/s", "1/s", "Real tokens of all instances a second", false, Hint::rate, Better::higher}, Show::with_throughput,
       [](const Json& r) { return number(r, "throughput.tokens_per_s"); }},
      {{"speedup", "speedup", "x", "Time of full over this one's, of the same rounds", false, Hint::ratio, Better::higher}, Show::always,
       [](const Json& r) { return ok_number(r, "speedup.median"); }},
      {{"speedup_interval", "95 % interval", "x", "95 % interval of the speedup", false, Hint::ratio_interval, Better::neither, 5}, Show::always,
       [](const Json& r) { return is_ok(r) ? interval(r, "speedup.median", "speedup.ci_low", "speedup.ci_high") : Cell(); }},
      {{"flop_ratio", "FLOP ratio", "x", "FLOPs of full over this one's", false, Hint::ratio}, Show::always,
       [](const Json& r) { return number(r, "speedup.flop_ratio"); }},
      {{"efficiency", "efficiency", "%", "Speedup over FLOP ratio", false, Hint::fraction}, Show::always,
       [](const Json& r) { return ok_number(r, "speedup.efficiency"); }},
      {{"gflops", "GFLOP/s", "GFLOP/s", "FLOPs of GEMM and attention of all instances over the median time", false, Hint::gigaflops, Better::neither, 7}, Show::when_known,
       [](const Json& r) { return number(r, "achieved.gflops"); }},
      {{"roof_fraction", "roof", "%", "Share of the measured roof that is reached", false, Hint::fraction}, Show::on_request,
       [](const Json& r) { return number(r, "achieved.roof_fraction"); }},
      {{"roof_by", "roof by", "", "How the arithmetic part of the roof is reached", true}, Show::on_request,
       [](const Json& r) -> Cell { return text_field(r, "achieved.arithmetic_by"); }},
      {{"fma_fraction", "of FMA", "%", "Share of the measured peak of multiply-adds that is reached", false, Hint::fraction}, Show::on_request,
       [](const Json& r) { return number(r, "achieved.fma_fraction"); }},
      // Taken from the record's full when rows are put together.
      {{"full_roof_fraction", "full's roof", "%", "Share of the measured roof that full reaches", false, Hint::fraction, Better::neither, 4}, Show::when_known,
       [](const Json&) { return Cell(); }},
      {{"flops", "FLOPs", "FLOP", "GEMM and attention of one forward", false, Hint::flops}, Show::on_request,
       [](const Json& r) { return number(r, "cost.flops"); }},
      {{"bytes_weights", "weights", "bytes", "Weights read once", false, Hint::bytes}, Show::on_request,
       [](const Json& r) { return number(r, "cost.bytes_weights"); }},
      {{"bytes_cache_passage", "cache/passage", "bytes", "Stored bytes of one passage", false, Hint::bytes}, Show::on_request,
       [](const Json& r) { return number(r, "cost.bytes_cache_passage"); }},
      {{"peak_bytes", "memory", "bytes", "Peak memory", false, Hint::bytes, Better::neither, 8}, Show::always,
       [](const Json& r) { return number(r, "memory.peak_bytes"); }},
      {{"requested_bytes", "requested", "bytes", "Sum of all operations' outputs", false, Hint::bytes}, Show::on_request,
       [](const Json& r) { return number(r, "memory.requested_bytes"); }},
      {{"rounds", "rounds", "", "Rounds measured", false, Hint::count, Better::neither, 9}, Show::always, rounds_cell},
      {{"discarded", "discarded", "", "Rounds discarded", false, Hint::count}, Show::on_request,
       [](const Json& r) { return number(r, "time.discarded"); }},
      {{"max_abs", "max_abs", "", "Largest distance to the reference", false, Hint::rate}, Show::on_request,
       [](const Json& r) { return number(r, "parity.max_abs"); }},
      {{"cosine_min", "cosine", "", "Worst cosine of a row with the reference", false, Hint::number}, Show::on_request,
       [](const Json& r) { return number(r, "parity.cosine_min"); }},
      {{"status", "parity", "", "Agreement with the reference, or why there is none", true}, Show::always,
       [](const Json& r) -> Cell { return status_text(r); }},
      {{"injected", "injected", "", "Slowdown planted on purpose: not a measurement", true}, Show::when_known,
       [](const Json& r) -> Cell { return text_field(r, "injected"); }},
      {{"key", "key", "", "Key of the point", true}, Show::on_request,
       [](const Json& r) -> Cell { return text_field(r, "key"); }},
      {{"run", "run", "", "Run that measured it", true}, Show::on_request,
       [](const Json& r) -> Cell { return text_field(r, "run"); }},
  };
  // clang-format on
}

}  // namespace

std::string status_text(const Json& record) {
  const bool known = field(record, "parity") != nullptr;
  if (is_ok(record) && !known) return "unchecked";
  std::string errors;
  if (const auto worst = number_field(record, "parity.max_abs")) {
    errors += fmt::format(" max_abs {:.2g}", *worst);
  }
  if (const auto cosine = number_field(record, "parity.cosine_min")) {
    errors += fmt::format(" cosine {:.4f}", *cosine);
  }
  if (is_ok(record)) return field(record, "parity.ok") ? "ok" : "not judged" + errors;
  const std::string status = text_or(record, "status", "no status");
  return status == "invalid" || status == "ok" ? "INVALID" + errors : status;
}

const std::vector<RecordColumn>& record_columns() {
  static const std::vector<RecordColumn> list = [] {
    std::vector<RecordColumn> all = setting_columns();
    for (RecordColumn& column : metric_columns()) all.push_back(std::move(column));
    return all;
  }();
  return list;
}

std::optional<std::size_t> find_record_column(std::string_view name) {
  const auto& columns = record_columns();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].column.name == name) return i;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column& column = columns[i].column;
    const std::size_t bare = column.name.rfind('_');
    if (column.title == name || column.name.substr(0, bare) == name) return i;
  }
  return std::nullopt;
}

std::shared_ptr<const std::vector<std::int16_t>> column_slots(const std::vector<bool>& wanted) {
  auto slots = std::make_shared<std::vector<std::int16_t>>();
  std::int16_t next = 0;
  for (const bool want : wanted) slots->push_back(want ? next++ : std::int16_t{-1});
  slots->push_back(next);  // how many there are
  return slots;
}

const Cell& RecordRow::cell(std::size_t column) const {
  static const Cell nothing;
  const std::int16_t slot = slots ? (*slots)[column] : std::int16_t{-1};
  return slot < 0 || cells.empty() ? nothing : cells[static_cast<std::size_t>(slot)];
}

void RecordRow::set_cell(std::size_t column, Cell cell) {
  const std::int16_t slot = slots ? (*slots)[column] : std::int16_t{-1};
  if (slot >= 0 && !cells.empty()) cells[static_cast<std::size_t>(slot)] = std::move(cell);
}

std::vector<std::string> row_fields() {
  std::vector<std::string> fields(std::begin(kIdentityFields), std::end(kIdentityFields));
  for (const char* name : {"group", "name", "point", "status", "reason", "reproduce", "time",
                           "cost", "achieved", "throughput", "memory", "parity"}) {
    fields.emplace_back(name);
  }
  return fields;
}

RecordRow make_row(const Json& record, const RowNeeds& needs) {
  RecordRow row;
  row.identity = identity_of(record);
  const auto hash = [&](std::string_view path) {
    return std::hash<std::string>{}(text_or(record, path, ""));
  };
  row.group = hash("group");
  const auto set = text_field(record, "set");
  row.set = set ? std::hash<std::string>{}(text_or(record, "run", "") + '/' + *set) | 1U : 0;
  const auto variant = parse_variant(text_or(record, "point.variant", ""));
  row.variant_rank = variant ? static_cast<int>(*variant) : 3;
  row.split = number_field(record, "point.split").value_or(0);
  row.name = text_or(record, "name", "");
  row.status = text_or(record, "status", "");
  if (row.status != "ok") row.reason = text_or(record, "reason", "");
  row.injected = text_or(record, "injected", "");
  if (needs.command) row.reproduce = text_or(record, "reproduce", "");
  row.speedup = positive_field(record, "speedup.median").value_or(0);
  row.flop_ratio = positive_field(record, "speedup.flop_ratio").value_or(0);
  row.roof_fraction = number_field(record, "achieved.roof_fraction").value_or(-1);
  row.discarded = positive_field(record, "time.discarded").value_or(0);
  row.by_device = text_or(record, "time.clock", "") == "device";
  row.parity_known = field(record, "parity") != nullptr;
  const Json* parity_ok = field(record, "parity.ok");
  row.parity_failed = parity_ok != nullptr && *parity_ok == Json(false);
  row.by_time = row.is_ok() && text_or(record, "time.stopped", "") == "time";
  static const auto every = column_slots(std::vector<bool>(record_columns().size(), true));
  const auto& columns = record_columns();
  row.slots = needs.slots ? needs.slots : every;
  row.cells.reserve(static_cast<std::size_t>(row.slots->back()));
  thread_local std::vector<Cell> last(columns.size());  // what the row before said
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if ((*row.slots)[i] < 0) continue;
    row.cells.push_back(columns[i].cell(record));
    row.cells.back().share_text_with(last[i]);
    if (row.cells.back().has_text()) last[i] = row.cells.back();
  }
  return row;
}

}  // namespace deformer
