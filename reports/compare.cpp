#include "reports/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <span>

#include "profilers/statistics.hpp"
#include "records/run_file.hpp"
#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

// ---- pairing
// -----------------------------------------------------------------------------------------

std::string identity(const Json& record) {
  const auto key = text_field(record, "key");
  return key ? *key : text_field(record, "name").value_or("");
}

/// One side: its points in order of first appearance, each with its last record.
struct Side {
  std::vector<std::string> order;
  std::map<std::string, const Json*> records;

  explicit Side(const std::vector<Json>& list) {
    for (const Json& record : list) {
      const std::string id = identity(record);
      if (records.insert_or_assign(id, &record).second) order.push_back(id);
    }
  }
  const Json* find(const std::string& id) const {
    const auto found = records.find(id);
    return found == records.end() ? nullptr : found->second;
  }
};

/// The median of an ok record's time and its 95 % interval, as logarithms.
struct LogTime {
  double median_ns;
  double middle;
  std::optional<Interval> interval;
};

std::optional<LogTime> log_time(const Json* record) {
  if (record == nullptr || text_field(*record, "status") != "ok") return std::nullopt;
  const auto median_ns = positive_field(*record, "time.median");
  if (!median_ns) return std::nullopt;
  LogTime time{*median_ns, std::log(*median_ns), std::nullopt};
  const auto low = positive_field(*record, "time.ci_low");
  const auto high = positive_field(*record, "time.ci_high");
  if (low && high && *low <= *median_ns && *median_ns <= *high) {
    time.interval = Interval{std::log(*low), std::log(*high)};
  }
  return time;
}

/// After optional stopping on correlated rounds (AR(1) 0.3) the medians' own intervals hold the
/// truth in 93 % of cases only, and theirs combined in 94 %; a tenth more brings all above 95 %.
constexpr double kWidening = 1.1;

/// Interval of the difference b - a of two independent estimates from the interval of each: the
/// distances from estimate to limit add in squares (MOVER: Zou and Donner, Statistics in Medicine
/// 27, 2008; for ratios on a log scale Donner and Zou, Statistical Methods in Medical Research 21,
/// 2012), and are widened by kWidening. It asks nothing of the samples beyond what the medians' own
/// intervals do, so that optional stopping and autocorrelation, which those allow for, are allowed
/// for here. Dividing limit by limit would hold too (98 % and more), at up to 1.3 times the width.
/// The coverage of every case is printed by tests/reports/compare_test.cpp.
Interval difference_interval(const LogTime& a, const LogTime& b) {
  const double middle = b.middle - a.middle;
  const double below = std::hypot(b.middle - b.interval->low, a.interval->high - a.middle);
  const double above = std::hypot(b.interval->high - b.middle, a.middle - a.interval->low);
  return {middle - kWidening * below, middle + kWidening * above};
}

/// Why a side cannot be compared: "skipped"; an ok record without a time says so.
std::string trouble(const Json* record) {
  if (log_time(record)) return "";
  const std::string status = text_field(*record, "status").value_or("no status");
  return status == "ok" ? "no time" : status;
}

std::string pair_status(const Json* a, const Json* b) {
  if (b == nullptr) return "only in A";
  if (a == nullptr) return "only in B";
  const std::string in_a = trouble(a);
  const std::string in_b = trouble(b);
  if (in_a.empty() && in_b.empty()) return "ok";
  if (in_a == in_b) return in_a + " in both";
  if (in_b.empty()) return in_a + " in A";
  if (in_a.empty()) return in_b + " in B";
  return in_a + " in A, " + in_b + " in B";
}

// ---- rounds and phases
// -----------------------------------------------------------------------------

/// Time of b over a of each round, where one set of one run measured both; empty otherwise.
std::vector<double> round_ratios(const Json& a, const Json& b) {
  const auto set = text_field(a, "set");
  if (!set || set != text_field(b, "set") || text_field(a, "run") != text_field(b, "run"))
    return {};
  const Json* of_a = field(a, "time.samples");
  const Json* of_b = field(b, "time.samples");
  const Json* rounds_a = field(a, "time.round");
  const Json* rounds_b = field(b, "time.round");
  if (of_a == nullptr || of_b == nullptr || rounds_a == nullptr || rounds_b == nullptr ||
      *rounds_a != *rounds_b || !of_a->is_array() || !of_b->is_array() ||
      of_a->size() != of_b->size()) {
    return {};
  }
  std::vector<double> ratios;
  for (std::size_t i = 0; i < of_a->size(); ++i) {
    const Json& x = (*of_a)[i];
    const Json& y = (*of_b)[i];
    if (!x.is_number() || !y.is_number() || x.get<double>() <= 0 || y.get<double>() <= 0) return {};
    ratios.push_back(y.get<double>() / x.get<double>());
  }
  return ratios;
}

std::vector<PhaseComparison> compare_phases(const Json& a, const Json& b) {
  std::map<std::string, double> times;
  const auto each = [](const Json& record, const auto& take) {
    const Json* phases = field(record, "phases");
    if (phases == nullptr || !phases->is_array()) return;
    for (const Json& phase : *phases) {
      const auto name = text_field(phase, "name");
      const auto ns = positive_field(phase, "median_ns");
      if (name && ns) take(*name, *ns);
    }
  };
  each(a, [&times](const std::string& name, double ns) { times[name] = ns; });
  std::vector<PhaseComparison> phases;
  each(b, [&](const std::string& name, double ns) {
    if (const auto found = times.find(name); found != times.end()) {
      phases.push_back({name, found->second, ns});
    }
  });
  return phases;
}

std::string injected_text(const Json* a, const Json* b) {
  std::string text;
  for (const auto& [name, record] : {std::pair{"A", a}, {"B", b}}) {
    const auto injected = record == nullptr ? std::nullopt : text_field(*record, "injected");
    if (injected) text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, *injected);
  }
  return text;
}

Comparison compare_pair(const Json* a, const Json* b, const CompareOptions& options) {
  const Json& either = a != nullptr ? *a : *b;
  Comparison row;
  row.key = text_field(either, "key").value_or("");
  row.name = text_field(either, "name").value_or(row.key);
  row.status = pair_status(a, b);
  row.injected = injected_text(a, b);
  const auto time_a = log_time(a);
  const auto time_b = log_time(b);
  if (time_a) row.a_median_ns = time_a->median_ns;
  if (time_b) row.b_median_ns = time_b->median_ns;
  if (!time_a || !time_b) return row;
  row.phases = compare_phases(*a, *b);
  row.ratio = std::exp(time_b->middle - time_a->middle);
  if (!options.unpaired) {
    const auto ratios = round_ratios(*a, *b);
    if (const auto interval = median_interval(ratios)) {
      row.paired = true;
      row.ratio = median(ratios);
      row.ci_low = interval->low;
      row.ci_high = interval->high;
      return row;
    }
  }
  if (time_a->interval && time_b->interval) {
    const Interval difference = difference_interval(*time_a, *time_b);
    row.ci_low = std::exp(difference.low);
    row.ci_high = std::exp(difference.high);
  }
  return row;
}

// ---- words
// -------------------------------------------------------------------------------------------

/// Ratios near 1 need more digits than others to say anything: "1.0042x", "1.04x", "12.3x".
std::string factor_text(double factor) {
  return factor < 1.01 ? fmt::format("{:.4f}x", factor) : human_ratio(factor);
}

std::string ratio_text(double ratio) {
  return ratio > 0.1 && ratio < 10 ? fmt::format("{:.4f}", ratio) : human_ratio(ratio);
}

/// "1.04x slower", "1.10x faster"; "~" where the interval holds 1; with a "?" where there is no
/// interval.
Cell change_text(const Comparison& row) {
  if (!row.ratio) return std::nullopt;
  const bool known = row.ci_low && row.ci_high;
  if (*row.ratio == 1 || (known && *row.ci_low <= 1 && *row.ci_high >= 1)) return "~";
  const bool slower = *row.ratio > 1;
  return factor_text(slower ? *row.ratio : 1 / *row.ratio) + (slower ? " slower" : " faster") +
         (known ? "" : " ?");
}

Cell interval_cell(const Comparison& row) {
  return Cell::interval(row.ratio, row.ci_low, row.ci_high);
}

/// No interval is known, so no difference is claimed: the factor alone.
std::vector<Cell> phase_row(const PhaseComparison& phase) {
  const double ratio = phase.ratio();
  const std::string words =
      ratio == 1 ? "~"
                 : factor_text(ratio > 1 ? ratio : 1 / ratio) + (ratio > 1 ? " slower" : " faster");
  return {"    " + phase.name,
          Cell::number(phase.a_ns),
          Cell::number(phase.b_ns),
          Cell::number(ratio, ratio_text(ratio)),
          Cell(),
          words + " ?",
          "phase"};
}

std::vector<Cell> table_row(const Comparison& row) {
  return {row.name,
          Cell::number(row.a_median_ns),
          Cell::number(row.b_median_ns),
          row.ratio ? Cell::number(*row.ratio, ratio_text(*row.ratio)) : Cell(),
          interval_cell(row),
          change_text(row),
          row.status};
}

// ---- the mean row
// ------------------------------------------------------------------------------------

/// Geometric mean of one figure of the pairs; nullopt when a pair lacks it.
std::optional<double> mean_of(std::span<const Comparison> pairs,
                              std::optional<double> Comparison::*figure) {
  std::vector<double> values;
  for (const Comparison& pair : pairs) values.push_back((pair.*figure).value_or(0));
  return geometric_mean(values);
}

/// The pairs of a set share the machine's noise, so their errors may all point one way: the mean's
/// interval is as wide as the mean of theirs, which holds whatever the dependence.
std::optional<Comparison> mean_row(const std::vector<Comparison>& rows) {
  std::vector<Comparison> pairs;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(pairs),
               [](const Comparison& row) { return row.ratio.has_value(); });
  if (pairs.empty()) return std::nullopt;
  Comparison mean;
  mean.name = "geometric mean";
  mean.status = fmt::format("of {}", pairs.size());
  mean.ratio = mean_of(pairs, &Comparison::ratio);
  mean.ci_low = mean_of(pairs, &Comparison::ci_low);
  mean.ci_high = mean_of(pairs, &Comparison::ci_high);
  return mean;
}

// ---- notes
// -------------------------------------------------------------------------------------------

std::size_t count_status(const std::vector<Comparison>& rows, std::string_view status) {
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [&](const Comparison& row) { return row.status == status; }));
}

std::vector<std::string> notes_for(const std::vector<Comparison>& rows) {
  std::vector<std::string> notes = {
      "B/A: ratio of the medians, above 1 is slower; ~: its 95 % interval holds 1"};
  const std::size_t unknown =
      static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const Comparison& row) {
        return row.ratio && (!row.ci_low || !row.ci_high);
      }));
  if (unknown > 0)
    notes.push_back(
        fmt::format("?: too few rounds for an interval ({} of {})", unknown, rows.size()));
  const std::size_t only_a = count_status(rows, "only in A");
  const std::size_t only_b = count_status(rows, "only in B");
  const std::size_t other = rows.size() - only_a - only_b - count_status(rows, "ok");
  if (only_a + only_b + other > 0) {
    notes.push_back(fmt::format("not compared: {} only in A, {} only in B, {} without a valid time",
                                only_a, only_b, other));
  }
  return notes;
}

Json number_or_null(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

/// A column that every format has, and a note: none of these is a measurement.
void add_injected(Table& table, const std::vector<Comparison>& rows) {
  if (std::ranges::all_of(rows, &std::string::empty, &Comparison::injected)) return;
  table.columns.push_back(
      {"injected", "injected", "", "Slowdown planted on purpose: not a measurement", true});
  for (auto& line : table.rows) {
    const auto row = std::ranges::find_if(rows, [&line](const Comparison& candidate) {
      return !candidate.injected.empty() && line.front().text() == candidate.name;
    });
    line.push_back(row == rows.end() ? Cell() : Cell(row->injected));
  }
  for (const Comparison& row : rows) {
    if (!row.injected.empty()) {
      table.notes.push_back(fmt::format("{} NOT A MEASUREMENT: a slowdown was planted in {}",
                                        row.name, row.injected));
    }
  }
}

}  // namespace

std::vector<Comparison> compare_records(const std::vector<Json>& a, const std::vector<Json>& b,
                                        const CompareOptions& options) {
  const Side side_a(a);
  const Side side_b(b);
  std::vector<Comparison> rows;
  for (const auto& id : side_a.order) {
    rows.push_back(compare_pair(side_a.find(id), side_b.find(id), options));
  }
  for (const auto& id : side_b.order) {
    if (side_a.find(id) == nullptr) rows.push_back(compare_pair(nullptr, side_b.find(id), options));
  }
  return rows;
}

Table comparison_table(const std::vector<Comparison>& rows, const CompareOptions& options) {
  Table table;
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"a_median_ns", "A", "ns", "Median time in A", false, Hint::duration},
      {"b_median_ns", "B", "ns", "Median time in B", false, Hint::duration},
      {"ratio", "B/A", "x", "Time in B over time in A", false, Hint::ratio},
      {"interval", "95 % interval", "x", "95 % interval of the ratio", false,
       Hint::closer_interval},
      {"change", "change", "", "The ratio in words", true},
      {"status", "status", "", "ok, or why there is no ratio", true},
  };
  for (const Comparison& row : rows) {
    table.rows.push_back(table_row(row));
    if (!options.phases) continue;
    for (const PhaseComparison& phase : row.phases) table.rows.push_back(phase_row(phase));
  }
  if (const auto mean = options.mean ? mean_row(rows) : std::nullopt) {
    table.rows.push_back(table_row(*mean));
    table.rows.back()[1] = table.rows.back()[2] = "";
  }
  table.notes = notes_for(rows);
  add_injected(table, rows);
  return table;
}

Json comparison_json(const Comparison& row) {
  const Cell change = change_text(row);
  Json phases = Json::array();
  for (const PhaseComparison& phase : row.phases) {
    phases.push_back({{"name", phase.name},
                      {"a_median_ns", phase.a_ns},
                      {"b_median_ns", phase.b_ns},
                      {"ratio", number_or_null(phase.ratio())}});
  }
  return {{"key", row.key},
          {"name", row.name},
          {"status", row.status},
          {"ratio", number_or_null(row.ratio)},
          {"ci_low", number_or_null(row.ci_low)},
          {"ci_high", number_or_null(row.ci_high)},
          {"a_median_ns", number_or_null(row.a_median_ns)},
          {"b_median_ns", number_or_null(row.b_median_ns)},
          {"change", change ? Json(change.text()) : Json(nullptr)},
          {"paired", row.paired},
          {"phases", std::move(phases)}};
}

std::vector<std::string> fingerprint_differences(const Json& run_a, const Json& run_b) {
  std::vector<std::string> lines;
  const auto compare = [&](const std::string& name, const Json* a, const Json* b) {
    const auto words = [](const Json* value) {
      return value == nullptr
                 ? std::string("not given")
                 : "'" + (value->is_string() ? value->get<std::string>() : to_line(*value)) + "'";
    };
    if (words(a) != words(b)) {
      lines.push_back(fmt::format("{}: {} in A, {} in B", name, words(a), words(b)));
    }
  };
  const auto compare_objects = [&](const std::string& prefix, std::string_view path) {
    std::vector<std::string> names;
    for (const Json* run : {&run_a, &run_b}) {
      const Json* object = field(*run, path);
      if (object == nullptr || !object->is_object()) continue;
      for (const auto& [name, value] : object->items()) {
        // Libraries and caches stand under deciding, where they decide.
        const bool repeated = path == "machine" && (name == "deciding" || name == "libraries");
        if (!repeated && std::ranges::find(names, name) == names.end()) names.push_back(name);
      }
    }
    for (const std::string& name : names) {
      const auto member = [&](const Json& run) -> const Json* {
        const Json* object = field(run, path);
        if (object == nullptr || !object->is_object()) return nullptr;
        const auto found = object->find(name);
        return found == object->end() ? nullptr : &*found;
      };
      compare(prefix + name, member(run_a), member(run_b));
    }
  };
  compare_objects("", "machine.deciding");
  const std::size_t deciding = lines.size();
  for (const char* path : {"version", "build", "flags"})
    compare(path, field(run_a, path), field(run_b, path));
  compare_objects("machine ", "machine");
  // What decides is also a field of the machine: said once.
  std::vector<std::string> kept(lines.begin(),
                                lines.begin() + static_cast<std::ptrdiff_t>(deciding));
  for (std::size_t i = deciding; i < lines.size(); ++i) {
    const std::string bare = lines[i].starts_with("machine ") ? lines[i].substr(8) : lines[i];
    if (std::ranges::find(kept, bare) == kept.end()) kept.push_back(lines[i]);
  }
  return kept;
}

}  // namespace deformer
