/// LaTeX with booktabs (rules) and siunitx (numbers aligned at the decimal point). A column of
/// numbers has one unit, named in its head, chosen for its largest value.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

constexpr std::size_t kRowsOfAPage = 40;  // more go on over pages

struct Scale {
  double size;
  std::string_view unit;  ///< as LaTeX
};

constexpr std::array<Scale, 4> kTimes = {
    {{1, "ns"}, {1e3, "\\si{\\micro\\second}"}, {1e6, "ms"}, {1e9, "s"}}};
constexpr std::array<Scale, 5> kBytes = {
    {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}, {1e12, "TB"}}};
constexpr std::array<Scale, 5> kFlops = {
    {{1, "FLOP"}, {1e3, "kFLOP"}, {1e6, "MFLOP"}, {1e9, "GFLOP"}, {1e12, "TFLOP"}}};
constexpr std::array<Scale, 1> kRatio = {{{1, "$\\times$"}}};
constexpr std::array<Scale, 1> kPercent = {{{0.01, "\\%"}}};
constexpr std::array<Scale, 1> kPlain = {{{1, ""}}};

std::span<const Scale> scales_of(Hint hint) {
  switch (hint) {
    case Hint::duration:
    case Hint::duration_interval:
      return kTimes;
    case Hint::bytes:
      return kBytes;
    case Hint::flops:
      return kFlops;
    case Hint::ratio:
    case Hint::ratio_interval:
    case Hint::closer_interval:
      return kRatio;
    case Hint::fraction:
      return kPercent;
    default:
      return kPlain;
  }
}

bool is_interval(const Column& column) {
  return column.hint == Hint::duration_interval || column.hint == Hint::ratio_interval ||
         column.hint == Hint::closer_interval;
}

/// A column as LaTeX sets it.
class LatexColumn {
 public:
  LatexColumn(const Table& table, std::size_t index)
      : table_(table), column_(table.columns[index]), index_(index) {
    double largest = 0;
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      const Cell* cell = at(r);
      if (cell == nullptr || !cell->is_number()) continue;
      numeric_ = true;
      largest = std::max(largest, std::abs(cell->value()));
    }
    numeric_ = numeric_ && !column_.left;
    scale_ = scales_of(column_.hint).front();
    for (const Scale& scale : scales_of(column_.hint)) {
      if (largest >= scale.size) scale_ = scale;
    }
    measure();
  }

  std::string kind() const {
    if (!numeric_ || is_interval(column_)) return column_.left ? "l" : "r";
    return fmt::format("S[table-format={}.{}]", whole_, decimals_);
  }

  std::string head() const {
    std::string text = latex_text(column_.title);
    if (!scale_.unit.empty() && numeric_) text += fmt::format(" ({})", scale_.unit);
    return "{" + text + "}";
  }

  std::string cell(std::size_t row, bool best) const {
    const Cell* found = at(row);
    const std::string bold = best ? "\\bfseries " : "";
    if (found == nullptr || !found->has_value()) return "{--}";
    if (found->has_text()) return "{" + bold + latex_text(found->text()) + "}";
    if (is_interval(column_)) {
      return fmt::format("{{{}[{}, {}]}}", bold, digits(found->low()), digits(found->high()));
    }
    return bold + digits(found->value());
  }

 private:
  const Cell* at(std::size_t row) const {
    const auto& cells = table_.rows[row];
    return index_ < cells.size() ? &cells[index_] : nullptr;
  }

  std::string digits(double value) const {
    if (column_.hint == Hint::count) return fmt::format("{:.0f}", value);
    if (column_.hint == Hint::number || column_.hint == Hint::text) return exact_number(value);
    return human_rate(value / scale_.size);
  }

  /// Digits before and after the point, for siunitx to align by.
  void measure() {
    for (std::size_t r = 0; numeric_ && r < table_.rows.size(); ++r) {
      const Cell* found = at(r);
      if (found == nullptr || !found->is_number() || found->has_text()) continue;
      const std::string text = digits(found->value());
      const std::size_t point = std::min(text.find('.'), text.size());
      whole_ = std::max(whole_, point);
      decimals_ = std::max(decimals_, point < text.size() ? text.size() - point - 1 : 0);
    }
  }

  const Table& table_;
  const Column& column_;
  std::size_t index_;
  bool numeric_ = false;
  Scale scale_{1, ""};
  std::size_t whole_ = 1;
  std::size_t decimals_ = 0;
};

constexpr std::string_view kPreamble = R"(\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs,longtable,graphicx,siunitx}
\pagestyle{empty}
\begin{document}
)";

std::string comment(std::string_view line) {
  return "% " + one_line(line) + "\n";
}

void print_comments(const Table& table, const Sink& sink) {
  sink("% A table of deformer-bench; needs booktabs, longtable, graphicx and siunitx\n");
  for (const auto& line : table.provenance) sink(comment(line));
  for (const auto& line : table.commands) sink(comment(line));
  sink("\\sisetup{detect-weight=true}\n");
}

void print_footnote(const Table& table, const Sink& sink) {
  for (const auto& lines : {table.notes, table.provenance}) {
    for (const auto& line : lines) sink("\\par\\footnotesize " + latex_text(line) + "\n");
  }
}

void print_rows(const Table& table, const std::vector<LatexColumn>& columns, const Sink& sink) {
  const auto best = best_cells(table);
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const bool means_begin = r == table.groups.size() && r > 0;
    const bool group_begins =
        r > 0 && r < table.groups.size() && table.groups[r] != table.groups[r - 1];
    if (means_begin || group_begins) sink("\\midrule\n");
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) line += " & ";
      line += columns[c].cell(r, best[r][c]);
    }
    sink(line + " \\\\\n");
  }
}

}  // namespace

std::string latex_text(std::string_view raw) {
  const std::string shown = one_line(raw);
  std::string_view text = shown;
  std::string out;
  while (!text.empty()) {
    const std::string_view before = text;
    const char32_t code = take_character(text);
    switch (code) {
      case '\\':
        out += "\\textbackslash{}";
        break;
      case '~':
        out += "\\textasciitilde{}";
        break;
      case '^':
        out += "\\textasciicircum{}";
        break;
      case '<':
        out += "\\textless{}";
        break;
      case '>':
        out += "\\textgreater{}";
        break;
      case '|':
        out += "\\textbar{}";
        break;
      case '"':
        out += "\\textquotedbl{}";
        break;
      case '`':
        out += "\\textasciigrave{}";
        break;
      case '-':
        out += "-{}";  // no ligature: "--split" stays two hyphens
        break;
      case 0xB1:
        out += "$\\pm$";
        break;
      case 0xD7:
        out += "$\\times$";
        break;
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        out += '\\';
        [[fallthrough]];
      default:
        // Latin-1 is in every font of T1; other scripts would stop pdflatex.
        if (code < 0x80 || (code >= 0xC0 && code <= 0xFF)) {
          out += before.substr(0, before.size() - text.size());
        } else {
          out += fmt::format("[U+{:04X}]", static_cast<std::uint32_t>(code));
        }
    }
  }
  return out;
}

std::string_view latex_preamble() {
  return kPreamble;
}

std::string_view latex_ending() {
  return "\\end{document}\n";
}

void print_latex(const Table& table, bool standalone, const Sink& sink) {
  if (standalone) sink(latex_preamble());
  print_comments(table, sink);
  std::vector<LatexColumn> columns;
  std::vector<std::string> kinds;
  std::vector<std::string> heads;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    columns.emplace_back(table, c);
    kinds.push_back(columns.back().kind());
    heads.push_back(columns.back().head());
  }
  const std::string kind = fmt::format("{}", fmt::join(kinds, ""));
  const std::string head = fmt::format("\\toprule\n{} \\\\\n\\midrule\n", fmt::join(heads, " & "));
  const std::string caption = table.title.empty() ? "" : latex_text(table.title);
  const bool is_long = table.rows.size() > kRowsOfAPage;
  if (is_long) {
    sink(fmt::format("{{\\tiny\\setlength{{\\tabcolsep}}{{3pt}}\n\\begin{{longtable}}{{{}}}\n",
                     kind));
    if (!caption.empty()) sink(fmt::format("\\caption{{{}}}\\\\\n", caption));
    sink(head + "\\endhead\n\\bottomrule\n\\endfoot\n");
    print_rows(table, columns, sink);
    sink("\\end{longtable}}\n");
    print_footnote(table, sink);
  } else {
    sink("\\begin{table}[ht]\n\\centering\n");
    if (!caption.empty()) sink(fmt::format("\\caption{{{}}}\n", caption));
    sink("\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n");
    sink(fmt::format("\\begin{{tabular}}{{{}}}\n{}", kind, head));
    print_rows(table, columns, sink);
    sink("\\bottomrule\n\\end{tabular}}\n");
    print_footnote(table, sink);
    sink("\\end{table}\n");
  }
  if (standalone) sink(latex_ending());
}

}  // namespace deformer
