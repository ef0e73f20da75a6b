#pragma once
/// The one table model behind everything that is printed: typed columns, rows of cells, and
/// printers that know nothing of what the columns mean. A new metric is a new column; no printer
/// changes.

#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/numbers.hpp"

namespace deformer {

/// What the numbers of a column are; decides how people read them. Stored in base units: ns,
/// bytes, FLOP, 1.
enum class Hint {
  text,
  count,
  number,
  duration,
  duration_interval,
  bytes,
  flops,
  ratio,
  ratio_interval,
  closer_interval,  ///< of a ratio near 1, with more digits
  fraction,         ///< shown in percent
  rate,
  gigaflops,
};

/// Which end of a column is the good one, for printers that mark the best of a group.
enum class Better { neither, lower, higher };

struct Column {
  std::string name;         ///< machine name with its unit, e.g. "median_ns"
  std::string title;        ///< what a person reads, e.g. "median"
  std::string unit;         ///< "ns", "x", "GFLOP", "bytes" or empty
  std::string description;  ///< one sentence
  bool left = false;        ///< text is left-aligned, numbers right-aligned
  Hint hint = Hint::text;
  Better better = Better::neither;
  int droppable = 0;  ///< on a narrow terminal the highest goes first; 0 stays
};

/// A text, a number with or without an interval, or nothing (printed as "-"). A number may carry a
/// text that people read in its stead ("126*"); machines get the number.
class Cell {
 public:
  Cell() = default;
  Cell(std::nullopt_t) {}
  Cell(std::string text) : more_(std::make_shared<const More>(More{std::move(text), true, 0, 0})) {}
  Cell(std::string_view text) : Cell(std::string(text)) {}
  Cell(const char* text) : Cell(std::string(text)) {}
  Cell(std::optional<std::string> text) {
    if (text) *this = Cell(std::move(*text));
  }

  /// Not finite: nothing.
  static Cell number(std::optional<double> value) {
    Cell cell;
    if (value && std::isfinite(*value)) cell.value_ = *value;
    return cell;
  }
  static Cell number(double value, std::string shown) {
    Cell cell = number(value);
    if (cell.has_value()) cell.more_ = Cell(std::move(shown)).more_;
    return cell;
  }
  /// Nothing unless all three are finite. `centre` is what the interval is of.
  static Cell interval(std::optional<double> centre, std::optional<double> low,
                       std::optional<double> high) {
    Cell cell = number(centre);
    if (!cell.has_value() || !low || !high || !std::isfinite(*low) || !std::isfinite(*high)) {
      return {};
    }
    cell.more_ = std::make_shared<const More>(More{"", false, *low, *high});
    return cell;
  }

  bool has_value() const { return has_text() || is_number(); }
  explicit operator bool() const { return has_value(); }
  bool is_number() const { return !std::isnan(value_); }
  bool has_text() const { return more_ != nullptr && more_->has_text; }
  const std::string& text() const;  ///< empty when there is none
  double value() const { return value_; }
  double low() const { return more_ == nullptr ? 0 : more_->low; }
  double high() const { return more_ == nullptr ? 0 : more_->high; }
  bool operator==(const Cell& other) const;
  /// Holds the text of `other` if it is the same: a long report says few different things.
  void share_text_with(const Cell& other);

 private:
  /// Apart, so that the many cells that are just a number stay small: a long report has millions.
  struct More {
    std::string text;
    bool has_text;
    double low, high;
  };

  std::shared_ptr<const More> more_;
  double value_ = std::numeric_limits<double>::quiet_NaN();
};

/// The cell as people read it, not escaped: "41.2 ms", "-".
std::string human_cell(const Column& column, const Cell& cell);

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  std::vector<std::string> notes = {};  ///< printed under the table
  /// Rows that are compared with each other share a number (the best of a group is marked). Shorter
  /// than `rows`: the rest are in no group (means).
  std::vector<std::size_t> groups = {};
  std::vector<std::string> provenance = {};  ///< where the figures come from; latex and html
  std::vector<std::string> commands = {};    ///< that measure the rows again: after the notes
};

enum class TableFormat { console, markdown, latex, csv, json };

/// Written piece by piece, so that a long table never stands in memory as text.
using Sink = std::function<void(std::string_view)>;

struct PrintOptions {
  TableFormat format = TableFormat::console;
  std::size_t width = 0;    ///< of the terminal; 0: any
  bool standalone = false;  ///< latex: a document of its own
};

/// Console: aligned columns, a rule under the header; columns that do not fit `width` are left out
/// and named. Markdown: GitHub's tables. LaTeX: booktabs and siunitx, the best of each group bold,
/// provenance as comment and footnote. CSV: RFC 4180, one header row, all digits, an interval in
/// two columns. JSON: an array of objects.
///
/// Text comes from files and may be hostile: control and bidirectional characters are shown as
/// escapes, invalid UTF-8 as U+FFFD, and what a format takes for markup is escaped. A row that is
/// too short is filled with nothing, one that is too long is cut. NaN and infinity print nowhere.
void print_table(const Table& table, const PrintOptions& options, const Sink& sink);
std::string print_table(const Table& table, const PrintOptions& options);
std::string print_table(const Table& table, TableFormat format);

/// One row as JSON; an interval becomes `name_low` and `name_high`. For json and html.
nlohmann::ordered_json row_json(const Table& table, std::size_t row);

/// Column names of csv and json: an interval's are two.
std::vector<std::string> machine_names(const Column& column);

/// Escapes of one format, for printers and tests.
std::string markdown_text(std::string_view raw);
std::string latex_text(std::string_view raw);
std::string csv_field(std::string_view raw);
std::string html_text(std::string_view raw);

/// For each row and column whether it is the best of its group.
std::vector<std::vector<bool>> best_cells(const Table& table);

/// Writes the text of each row of many, formed on several threads, in order.
void print_rows(std::size_t count,
                const std::function<void(std::size_t row, std::string& out)>& form,
                const Sink& sink);

// One printer each; internal.
void print_console(const Table& table, std::size_t width, const Sink& sink);
void print_markdown(const Table& table, const Sink& sink);
void print_latex(const Table& table, bool standalone, const Sink& sink);
/// What a document of several tables begins and ends with; standalone tables have both.
std::string_view latex_preamble();
std::string_view latex_ending();
void print_csv(const Table& table, const Sink& sink);
void print_json_rows(const Table& table, const Sink& sink);

}  // namespace deformer
