#pragma once
/// The one table model behind every printed table: typed columns, rows of cells, and printers that
/// know nothing of what the columns mean.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

struct Column {
  std::string name;         ///< machine name with its unit, e.g. "median_ns"
  std::string title;        ///< what a person reads, e.g. "median"
  std::string unit;         ///< "ns", "x", "GFLOP", "bytes" or empty
  std::string description;  ///< one sentence
  bool left = false;        ///< text is left-aligned, numbers right-aligned
};

/// A cell as shown, or nothing (printed as "-").
using Cell = std::optional<std::string>;

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  std::vector<std::string> notes;  ///< printed under the table
};

enum class TableFormat { console, markdown };

/// Console: aligned columns, a rule under the header. Markdown: GitHub's tables, `|` and newlines
/// escaped. Text comes from files and may be hostile: control and bidirectional characters are
/// shown as escapes
/// (`\n`, `\x1b`, `\u202e`), invalid UTF-8 as U+FFFD, and Markdown markup in cells, notes and the
/// title shows as it is written. A row that is too short is filled with "-", one that is too long
/// is cut.
std::string print_table(const Table& table, TableFormat format);

/// Numbers for people: 3 significant digits and a unit ("41.2 ms", "3.02x", "58.1 GFLOP", "88.4
/// MB"). NaN and infinity yield "-".
std::string human_time(double ns);
std::string human_bytes(double bytes);
std::string human_flops(double flops);
std::string human_ratio(double ratio);
std::string human_percent(double fraction);  ///< 0.936 -> "93.6 %"
std::string human_rate(double rate);         ///< 3 significant digits, no unit: "1.53e+06", "48.2"

/// Intervals without a unit: "[40.9, 41.6]". Times stand in the unit human_time picks for
/// `centre_ns`.
std::string human_time_interval(double centre_ns, double low_ns, double high_ns);
std::string human_ratio_interval(double low, double high);

}  // namespace deformer
