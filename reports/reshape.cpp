#include "reports/reshape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "profilers/statistics.hpp"

namespace deformer {
namespace {

const Cell& at(const Table& table, std::size_t row, std::size_t column) {
  static const Cell nothing;
  const auto& cells = table.rows[row];
  return column < cells.size() ? cells[column] : nothing;
}

std::string text_at(const Table& table, std::size_t row, std::size_t column) {
  return human_cell(table.columns[column], at(table, row, column));
}

/// Distinct values of a column: numbers in order, texts as they appear.
std::vector<Cell> values_of(const Table& table, std::size_t column) {
  std::vector<Cell> values;
  std::set<std::string> seen;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const Cell& cell = at(table, r, column);
    if (cell.has_value() && seen.insert(text_at(table, r, column)).second) values.push_back(cell);
  }
  if (std::ranges::all_of(values, &Cell::is_number)) std::ranges::sort(values, {}, &Cell::value);
  return values;
}

Cell summary(const Table& table, std::size_t column, const std::vector<std::size_t>& rows) {
  std::vector<double> values;
  for (const std::size_t row : rows) {
    if (at(table, row, column).is_number()) values.push_back(at(table, row, column).value());
  }
  if (values.empty()) return {};
  switch (table.columns[column].hint) {
    case Hint::duration:
    case Hint::ratio:
    case Hint::rate:
    case Hint::gigaflops:
    case Hint::fraction:
      return Cell::number(geometric_mean(values));
    case Hint::duration_interval:
    case Hint::ratio_interval:
    case Hint::closer_interval:
      return {};
    default:
      return Cell::number(*std::ranges::max_element(values));
  }
}

/// Combinations of values of some columns, in order of appearance, with the rows of each.
struct Groups {
  std::vector<std::vector<std::size_t>> rows;

  Groups(const Table& table, const std::vector<std::size_t>& by) {
    std::map<std::string, std::size_t> index;
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      std::string key;
      for (const std::size_t column : by) key += text_at(table, r, column) + '\n';
      const auto [found, first] = index.try_emplace(key, rows.size());
      if (first) rows.emplace_back();
      rows[found->second].push_back(r);
    }
  }
};

}  // namespace

Table grouped(const Table& table, const std::vector<std::size_t>& by) {
  Table out;
  out.title = table.title;
  out.provenance = table.provenance;
  std::vector<std::size_t> summed;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    const bool meaningful = column.hint != Hint::text && column.hint != Hint::count &&
                            column.hint != Hint::duration_interval &&
                            column.hint != Hint::ratio_interval && column.hint != Hint::number;
    if (meaningful && std::ranges::find(by, c) == by.end()) summed.push_back(c);
  }
  for (const std::size_t c : by) out.columns.push_back(table.columns[c]);
  out.columns.push_back({"count", "rows", "", "Rows of the group", false, Hint::count});
  for (const std::size_t c : summed) out.columns.push_back(table.columns[c]);
  for (const auto& rows : Groups(table, by).rows) {
    std::vector<Cell> line;
    for (const std::size_t c : by) line.push_back(at(table, rows.front(), c));
    line.push_back(Cell::number(static_cast<double>(rows.size())));
    for (const std::size_t c : summed) line.push_back(summary(table, c, rows));
    out.rows.push_back(std::move(line));
  }
  out.notes.emplace_back(
      "times, ratios and rates of a group are geometric means, sizes its largest");
  return out;
}

Table pivoted(const Table& table, std::size_t down, std::size_t across, std::size_t value,
              const std::vector<std::size_t>& settings) {
  Table out;
  out.title = table.title;
  out.provenance = table.provenance;
  std::vector<std::size_t> by;
  for (const std::size_t c : settings) {
    if (c != down && c != across && values_of(table, c).size() > 1) by.push_back(c);
  }
  by.push_back(down);
  for (const std::size_t c : by) out.columns.push_back(table.columns[c]);
  const std::vector<Cell> heads = values_of(table, across);
  std::map<std::string, std::size_t> column_of;
  for (const Cell& head : heads) {
    const std::string text = human_cell(table.columns[across], head);
    column_of[text] = out.columns.size();
    Column column = table.columns[value];
    column.name = text + "_" + column.name;
    column.title = text;
    column.description += " of " + text;
    column.droppable = 0;
    out.columns.push_back(std::move(column));
  }
  std::size_t hidden = 0;
  for (const auto& rows : Groups(table, by).rows) {
    std::vector<Cell> line(out.columns.size());
    bool any = false;
    for (std::size_t i = 0; i < by.size(); ++i) line[i] = at(table, rows.front(), by[i]);
    for (const std::size_t row : rows) {
      if (!at(table, row, across).has_value() || !at(table, row, value).has_value()) continue;
      Cell& cell = line[column_of.at(text_at(table, row, across))];
      hidden += cell.has_value() ? 1 : 0;
      cell = at(table, row, value);
      any = true;
    }
    if (any) out.rows.push_back(std::move(line));
  }
  out.notes.push_back(
      fmt::format("{}: {}", table.columns[value].title, table.columns[value].description));
  if (hidden > 0) {
    out.notes.push_back(
        fmt::format("{} rows share a cell with a later one and are not shown; "
                    "--filter tells them apart",
                    hidden));
  }
  return out;
}

}  // namespace deformer
