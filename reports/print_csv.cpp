/// CSV as RFC 4180 has it: CRLF, one header row, fields quoted where they must be. Nothing is an
/// empty field. Text is data here and stands as it is, whatever a terminal or a spreadsheet would
/// make of it.

#include <fmt/format.h>

#include <iterator>

#include "reports/table.hpp"

namespace deformer {
namespace {

void append_number(std::string& line, Hint hint, double value) {
  const bool whole = hint == Hint::count && std::abs(value) < 1e15;
  whole ? fmt::format_to(std::back_inserter(line), "{:.0f}", value)
        : fmt::format_to(std::back_inserter(line), "{}", value);
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
  std::string header;
  std::vector<bool> is_interval;
  for (const Column& column : table.columns) {
    const auto names = machine_names(column);
    is_interval.push_back(names.size() == 2);
    for (const std::string& name : names) {
      if (!header.empty()) header += ',';
      header += csv_field(name);
    }
  }
  sink(header + "\r\n");
  print_rows(
      table.rows.size(),
      [&](std::size_t r, std::string& line) {
        static const Cell nothing;
        const auto& row = table.rows[r];
        for (std::size_t c = 0; c < table.columns.size(); ++c) {
          const Cell& cell = c < row.size() ? row[c] : nothing;
          if (c > 0) line += ',';
          if (is_interval[c]) {
            if (cell.is_number()) append_number(line, Hint::number, cell.low());
            line += ',';
            if (cell.is_number()) append_number(line, Hint::number, cell.high());
          } else if (cell.is_number()) {
            append_number(line, table.columns[c].hint, cell.value());
          } else if (cell.has_text()) {
            line += csv_field(cell.text());
          }
        }
        line += "\r\n";
      },
      sink);
}

}  // namespace deformer
