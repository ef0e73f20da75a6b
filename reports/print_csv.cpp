/// CSV as RFC 4180 has it: CRLF, one header row, fields quoted where they must be. Nothing is an
/// empty field. Text is data here and stands as it is, whatever a terminal or a spreadsheet would
/// make of it.

#include <fmt/format.h>

#include "reports/table.hpp"

namespace deformer {
namespace {

std::string number_field_of(const Column& column, double value) {
  return column.hint == Hint::count && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                              : exact_number(value);
}

}  // namespace

std::string csv_field(std::string_view raw) {
  if (raw.find_first_of(",\"\r\n") == raw.npos && !raw.starts_with(' ') && !raw.ends_with(' ')) {
    return std::string(raw);
  }
  std::string out = "\"";
  for (const char c : raw) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

void print_csv(const Table& table, const Sink& sink) {
  std::string line;
  const auto end_line = [&] {
    line += "\r\n";
    sink(line);
    line.clear();
  };
  bool first = true;
  for (const Column& column : table.columns) {
    for (const std::string& name : machine_names(column)) {
      if (!first) line += ',';
      line += csv_field(name);
      first = false;
    }
  }
  end_line();
  const Cell nothing;
  for (const auto& row : table.rows) {
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const Column& column = table.columns[c];
      const Cell& cell = c < row.size() ? row[c] : nothing;
      if (c > 0) line += ',';
      if (machine_names(column).size() == 2) {
        if (cell.is_number()) line += exact_number(cell.low());
        line += ',';
        if (cell.is_number()) line += exact_number(cell.high());
      } else if (cell.is_number()) {
        line += number_field_of(column, cell.value());
      } else if (cell.has_text()) {
        line += csv_field(cell.text());
      }
    }
    end_line();
  }
}

}  // namespace deformer
