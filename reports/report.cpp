#include "reports/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "model/error.hpp"
#include "profilers/statistics.hpp"
#include "reports/reshape.hpp"

namespace deformer {
namespace {

// ---- columns -----------------------------------------------------------------------------------

std::size_t column_or_throw(const std::string& option, const std::string& name) {
  if (const auto found = find_record_column(name)) return *found;
  std::vector<std::string> names;
  for (const RecordColumn& column : record_columns()) names.push_back(column.column.name);
  throw BadInput(fmt::format("{}: expected columns among {}, found '{}'", option,
                             fmt::join(names, " "), name));
}

/// Whether a cell differs from the one a column's first known cell holds.
bool varies(const std::vector<RecordRow>& rows, std::size_t column) {
  const Cell* first = nullptr;
  for (const RecordRow& row : rows) {
    const Cell& cell = row.cell(column);
    if (!cell.has_value()) continue;
    if (first == nullptr) first = &cell;
    if (!(cell == *first)) return true;
  }
  return false;
}

bool is_known(const std::vector<RecordRow>& rows, std::size_t column) {
  return std::ranges::any_of(rows,
                             [=](const RecordRow& row) { return row.cell(column).has_value(); });
}

bool is_not_one(const std::vector<RecordRow>& rows, std::size_t column) {
  return std::ranges::any_of(rows,
                             [=](const RecordRow& row) { return row.cell(column).value() != 1; });
}

/// Where the time of a forward alone does not compare rows.
bool has_throughput(const std::vector<RecordRow>& rows) {
  static const std::size_t instances = *find_record_column("instances");
  static const std::size_t lengths = *find_record_column("lengths");
  return is_not_one(rows, instances) || std::ranges::any_of(rows, [](const RecordRow& row) {
           return row.cell(lengths).has_text() && row.cell(lengths).text() != "fixed";
         });
}

bool is_shown(std::size_t index, const std::vector<RecordRow>& rows, bool every) {
  const RecordColumn& column = record_columns()[index];
  if (every) return is_known(rows, index) || column.show == Show::always;
  switch (column.show) {
    case Show::always:
      return true;
    case Show::when_known:
      return is_known(rows, index);
    case Show::when_not_one:
      return !rows.empty() && is_not_one(rows, index);
    case Show::when_different:
      return varies(rows, index);
    case Show::with_throughput:
      return has_throughput(rows);
    case Show::on_request:
      return false;
  }
  return true;
}

std::vector<std::size_t> shown_columns(const std::vector<RecordRow>& rows,
                                       const ReportOptions& options) {
  std::vector<std::size_t> shown;
  for (const std::string& name : options.columns) {
    shown.push_back(column_or_throw("--columns", name));
  }
  if (!shown.empty()) return shown;
  for (std::size_t i = 0; i < record_columns().size(); ++i) {
    if (is_shown(i, rows, options.every_column)) shown.push_back(i);
  }
  return shown;
}

/// What every row shares: "cpu f32, 2 threads".
std::string shared_settings(const std::vector<RecordRow>& rows) {
  std::string title;
  std::string dtype;
  for (std::size_t i = 0; i < record_columns().size(); ++i) {
    const RecordColumn& column = record_columns()[i];
    if (column.phrase == nullptr || varies(rows, i)) continue;
    const auto known =
        std::ranges::find_if(rows, [=](const RecordRow& row) { return row.cell(i).has_value(); });
    if (known == rows.end()) continue;
    const std::string value = human_cell(column.column, known->cell(i));
    if (column.column.name == "dtype") dtype = value;
    // The type of stored passages goes without saying where it is that of the computation.
    if (column.column.name == "cache_dtype" && value == dtype) continue;
    title += column.phrase(value);
  }
  const std::size_t start = title.find_first_not_of(", ");
  return start == std::string::npos ? "" : title.substr(start);
}

// ---- means -------------------------------------------------------------------------------------

/// Column name -> cell of the mean row of a variant; empty when no row counts. The mean FLOP ratio
/// is that of the same rows, or nothing when one of them lacks it.
std::map<std::string, Cell> mean_cells(const std::vector<RecordRow>& rows, Variant variant) {
  std::vector<double> speedups;
  std::vector<double> flop_ratios;
  for (const RecordRow& row : rows) {
    if (row.variant_rank != static_cast<int>(variant) || !row.is_ok() || row.is_unchecked() ||
        !row.injected.empty() || row.speedup <= 0) {
      continue;
    }
    speedups.push_back(row.speedup);
    flop_ratios.push_back(row.flop_ratio);
  }
  const auto speedup = geometric_mean(speedups);
  if (!speedup) return {};
  std::map<std::string, Cell> cells = {{"model", "geometric mean"},
                                       {"variant", to_string(variant)},
                                       {"speedup", Cell::number(*speedup)},
                                       {"status", fmt::format("of {}", speedups.size())}};
  if (const auto flop_ratio = geometric_mean(flop_ratios)) {
    cells["flop_ratio"] = Cell::number(*flop_ratio);
    cells["efficiency"] = Cell::number(*speedup / *flop_ratio);
  }
  return cells;
}

void append_means(Table& table, const std::vector<RecordRow>& rows) {
  const auto has = [&table](std::string_view name) {
    return std::ranges::find(table.columns, name, &Column::name) != table.columns.end();
  };
  if (!has("speedup") || !has("model") || !has("variant")) return;
  for (const Variant variant : {Variant::decomposed, Variant::cached}) {
    auto cells = mean_cells(rows, variant);
    if (cells.empty()) continue;
    std::vector<Cell> line;
    for (const Column& column : table.columns) {
      const auto found = cells.find(column.name);
      line.push_back(found == cells.end() ? Cell("") : found->second);
    }
    table.rows.push_back(std::move(line));
  }
}

// ---- notes -------------------------------------------------------------------------------------

/// A long report names the first of its rows that are not ok; all of them stand in their cells.
constexpr std::size_t kMostReasons = 100;

/// What was slowed down on purpose must never pass for a measurement.
void append_injected(Table& table, const std::vector<RecordRow>& rows, bool numbered) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].injected.empty()) {
      const std::string which = numbered ? fmt::format("#{}", i + 1) : rows[i].name;
      table.notes.push_back(fmt::format("{} NOT A MEASUREMENT: a slowdown was planted, --inject {}",
                                        which, rows[i].injected));
    }
  }
}

/// How many rounds of those that a device judges, or of the others, were discarded.
void append_discarded(Table& table, const std::vector<RecordRow>& rows, bool by_device,
                      const char* why) {
  // A round is discarded whole, for all variants, so it is counted once a set, not once a record.
  std::unordered_map<std::uint64_t, double> sets;
  double total = 0;
  for (const RecordRow& row : rows) {
    if (row.discarded <= 0 || row.by_device != by_device) continue;
    if (row.set == 0) {
      total += row.discarded;
    } else {
      double& most = sets[row.set];
      total += std::max(0.0, row.discarded - most);
      most = std::max(most, row.discarded);
    }
  }
  if (total > 0) {
    table.notes.push_back(fmt::format("{:.0f} {} discarded: {} during {}", total,
                                      total == 1 ? "round" : "rounds", why,
                                      total == 1 ? "it" : "them"));
  }
}

void append_notes(Table& table, const std::vector<RecordRow>& rows, bool numbered) {
  if (std::ranges::any_of(rows, &RecordRow::by_time)) {
    table.notes.emplace_back("* the time ran out before the 95 % interval was within ±1 %");
  }
  if (std::ranges::any_of(rows, &RecordRow::is_unchecked)) {
    table.notes.emplace_back("unchecked: not compared with the reference; in no mean");
  }
  std::size_t reasons = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].is_ok() || rows[i].reason.empty()) continue;
    if (++reasons <= kMostReasons) {
      const std::string which = numbered ? fmt::format("#{}", i + 1) : rows[i].name;
      table.notes.push_back(fmt::format("{} {}: {}", which, rows[i].status, rows[i].reason));
    }
  }
  if (reasons > kMostReasons) {
    table.notes.push_back(fmt::format("{} more rows have a reason", reasons - kMostReasons));
  }
  append_injected(table, rows, numbered);
  append_discarded(table, rows, false, "the machine's arithmetic rate fell");
  append_discarded(table, rows, true, "heat or hardware protection held the device's clocks down");
}

void append_commands(Table& table, const std::vector<RecordRow>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].reproduce.empty()) {
      table.commands.push_back(fmt::format("#{}  {}", i + 1, rows[i].reproduce));
    }
  }
}

// ---- order -------------------------------------------------------------------------------------

void link_roofs(std::vector<RecordRow>& rows) {
  static const std::size_t column = *find_record_column("full_roof_fraction");
  std::unordered_map<std::uint64_t, double> fulls;
  for (const RecordRow& row : rows) {
    if (row.is_full() && row.roof_fraction >= 0) {
      fulls[row.identity.measurement] = row.roof_fraction;
    }
  }
  for (RecordRow& row : rows) {
    const auto full = fulls.find(row.is_full() ? row.identity.measurement : row.identity.versus);
    if (full != fulls.end()) row.set_cell(column, Cell::number(full->second));
  }
}

void sort_by_group(std::vector<RecordRow>& rows) {
  std::unordered_map<std::uint64_t, std::size_t> groups;
  struct Place {
    std::size_t group;
    int variant;
    double split;
    std::size_t row;
    auto key() const { return std::tuple{group, variant, split, row}; }
  };
  std::vector<Place> places;
  places.reserve(rows.size());
  for (const RecordRow& row : rows) {
    places.push_back({groups.try_emplace(row.group, groups.size()).first->second, row.variant_rank,
                      row.split, places.size()});
  }
  if (std::ranges::is_sorted(places, {}, &Place::key)) return;  // as a sweep writes them
  std::ranges::sort(places, {}, &Place::key);
  std::vector<RecordRow> sorted;
  sorted.reserve(rows.size());
  for (const Place& place : places) sorted.push_back(std::move(rows[place.row]));
  rows = std::move(sorted);
}

/// Nothing stands behind everything, whichever way.
bool comes_before(const Cell& a, const Cell& b, bool descending) {
  if (a.has_value() != b.has_value()) return a.has_value();
  if (a.is_number() && b.is_number()) {
    return descending ? a.value() > b.value() : a.value() < b.value();
  }
  return descending ? a.text() > b.text() : a.text() < b.text();
}

void sort_by_column(std::vector<RecordRow>& rows, std::string name) {
  const std::size_t colon = name.find(':');
  const std::string direction = colon == std::string::npos ? "asc" : name.substr(colon + 1);
  if (direction != "asc" && direction != "desc") {
    throw BadInput(
        fmt::format("--sort: expected COLUMN, COLUMN:asc or COLUMN:desc, found '{}'", name));
  }
  const std::size_t column = column_or_throw("--sort", name.substr(0, colon));
  std::ranges::stable_sort(rows, [&](const RecordRow& a, const RecordRow& b) {
    return comes_before(a.cell(column), b.cell(column), direction == "desc");
  });
}

// ---- reshaping ---------------------------------------------------------------------------------

std::size_t index_in(const Table& table, const std::vector<std::size_t>& shown,
                     std::size_t column) {
  const auto found = std::ranges::find(shown, column);
  return static_cast<std::size_t>(found - shown.begin()) + (table.columns.size() - shown.size());
}

std::vector<std::size_t> setting_indices(const std::vector<std::size_t>& shown) {
  std::vector<std::size_t> settings;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (record_columns()[shown[i]].setting) settings.push_back(i);
  }
  return settings;
}

void add_once(std::vector<std::size_t>& columns, std::size_t column) {
  if (std::ranges::find(columns, column) == columns.end()) columns.push_back(column);
}

}  // namespace

void order_rows(std::vector<RecordRow>& rows, const ReportOptions& options) {
  link_roofs(rows);
  sort_by_group(rows);
  for (auto name = options.sort.rbegin(); name != options.sort.rend(); ++name) {
    sort_by_column(rows, *name);
  }
}

std::vector<bool> columns_needed(const ReportOptions& options) {
  const auto& columns = record_columns();
  std::vector<bool> needed(columns.size(), options.every_column);
  // Settings tell rows apart and stand in the title, whatever is shown.
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].setting || (options.columns.empty() && columns[i].show != Show::on_request)) {
      needed[i] = true;
    }
  }
  needed[*find_record_column("speedup")] = true;
  for (const std::string& name : options.columns) needed[column_or_throw("--columns", name)] = true;
  for (const std::string& name : options.group_by)
    needed[column_or_throw("--group-by", name)] = true;
  for (const std::string& name : options.sort) {
    needed[column_or_throw("--sort", name.substr(0, name.find(':')))] = true;
  }
  if (options.pivot) {
    needed[column_or_throw("--pivot", options.pivot->first)] = true;
    needed[column_or_throw("--pivot", options.pivot->second)] = true;
  }
  return needed;
}

Table report_table(std::vector<RecordRow> rows, const ReportOptions& options) {
  order_rows(rows, options);
  const bool by_group = !options.group_by.empty();
  const std::size_t injected =
      by_group ? std::erase_if(rows, [](const RecordRow& row) { return !row.injected.empty(); })
               : 0;
  const std::size_t left_out =
      by_group ? std::erase_if(
                     rows, [](const RecordRow& row) { return !row.is_ok() || row.is_unchecked(); })
               : 0;
  std::vector<std::size_t> shown = shown_columns(rows, options);
  std::vector<std::size_t> by;
  for (const std::string& name : options.group_by) {
    by.push_back(column_or_throw("--group-by", name));
    add_once(shown, by.back());
  }
  std::size_t value = *find_record_column("speedup");
  if (options.pivot) {
    // The value is the first column asked for.
    if (!options.columns.empty()) value = shown.front();
    for (std::size_t i = 0; i < record_columns().size(); ++i) {
      if (record_columns()[i].setting && varies(rows, i)) add_once(shown, i);
    }
    add_once(shown, value);
    add_once(shown, column_or_throw("--pivot", options.pivot->first));
    add_once(shown, column_or_throw("--pivot", options.pivot->second));
    std::ranges::sort(shown);
  }
  const bool plain = by.empty() && !options.pivot;
  const bool numbered = plain && options.columns.empty() && !options.every_column;

  Table table;
  table.title = shared_settings(rows);
  if (numbered) table.columns.push_back({"row", "#", "", "Number of the row", false, Hint::count});
  for (const std::size_t column : shown) table.columns.push_back(record_columns()[column].column);
  table.rows.reserve(rows.size() + 2);
  std::unordered_map<std::uint64_t, std::size_t> groups;
  for (RecordRow& row : rows) {
    std::vector<Cell> line;
    line.reserve(table.columns.size());
    if (numbered) line.push_back(Cell::number(static_cast<double>(table.rows.size() + 1)));
    for (const std::size_t column : shown) line.push_back(row.cell(column));  // may repeat
    std::vector<Cell>().swap(row.cells);
    table.rows.push_back(std::move(line));
    table.groups.push_back(groups.try_emplace(row.group, groups.size()).first->second);
  }
  if (!by.empty()) {
    for (std::size_t& column : by) column = index_in(table, shown, column);
    Table groups_table = grouped(table, by);
    if (left_out > 0) {
      groups_table.notes.push_back(fmt::format("{} {} unchecked or not ok: in no group", left_out,
                                               left_out == 1 ? "row is" : "rows are"));
    }
    if (injected > 0) {
      groups_table.notes.push_back(
          fmt::format("{} {} NOT A MEASUREMENT: a slowdown was planted (--inject); in no group",
                      injected, injected == 1 ? "row is" : "rows are"));
    }
    return groups_table;
  }
  if (options.pivot) {
    Table pivot =
        pivoted(table, index_in(table, shown, column_or_throw("--pivot", options.pivot->first)),
                index_in(table, shown, column_or_throw("--pivot", options.pivot->second)),
                index_in(table, shown, value), setting_indices(shown));
    append_injected(pivot, rows, false);
    return pivot;
  }
  if (!options.every_column) append_means(table, rows);
  append_notes(table, rows, numbered);
  if (options.commands && numbered) append_commands(table, rows);
  return table;
}

}  // namespace deformer
