#include "reports/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <span>

namespace deformer {
namespace {

// ---- text
// ------------------------------------------------------------------------------------------

constexpr char32_t kReplacement = 0xFFFD;

struct Range {
  char32_t first;
  char32_t last;
};

bool in_ranges(char32_t code, std::span<const Range> ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [code](const Range& r) { return code >= r.first && code <= r.last; });
}

/// Characters that steer a terminal or reorder a line; shown as escapes instead.
bool steers(char32_t code) {
  static constexpr std::array<Range, 6> kSteering = {{{0x00, 0x1F},
                                                      {0x7F, 0x9F},
                                                      {0x200E, 0x200F},
                                                      {0x2028, 0x202E},
                                                      {0x2066, 0x2069},
                                                      {0xFEFF, 0xFEFF}}};
  return in_ranges(code, kSteering);
}

/// Columns a character takes on a terminal; the blocks of Unicode's EastAsianWidth that matter in
/// names (W and F), and the common combining marks.
std::size_t columns_of(char32_t code) {
  static constexpr std::array<Range, 4> kNone = {
      {{0x0300, 0x036F}, {0x200B, 0x200D}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};
  static constexpr std::array<Range, 9> kWide = {{{0x1100, 0x115F},
                                                  {0x2E80, 0x303E},
                                                  {0x3041, 0xA4CF},
                                                  {0xAC00, 0xD7A3},
                                                  {0xF900, 0xFAFF},
                                                  {0xFF00, 0xFF60},
                                                  {0xFFE0, 0xFFE6},
                                                  {0x1F300, 0x1F9FF},
                                                  {0x20000, 0x3FFFD}}};
  if (in_ranges(code, kNone)) return 0;
  return in_ranges(code, kWide) ? 2 : 1;
}

/// Bytes of the well-formed UTF-8 sequence that `lead` announces; 0 when it announces none.
std::size_t sequence_bytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

/// Takes one character off the front of `text`. What is not UTF-8 goes a byte at a time as U+FFFD.
char32_t take_character(std::string_view& text) {
  static constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t bytes = sequence_bytes(lead);
  char32_t code = bytes == 1 ? lead : static_cast<char32_t>(lead & (0x7Fu >> bytes));
  bool good = bytes > 0 && bytes <= text.size();
  for (std::size_t i = 1; good && i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    good = (next & 0xC0u) == 0x80u;
    code = (code << 6) | (next & 0x3Fu);
  }
  good =
      good && code >= kSmallest[bytes] && code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
  text.remove_prefix(good ? bytes : 1);
  return good ? code : kReplacement;
}

std::string escape_of(char32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto number = static_cast<std::uint32_t>(code);
  return code < 0x100 ? fmt::format("\\x{:02x}", number) : fmt::format("\\u{:04x}", number);
}

/// Valid UTF-8 on one line that cannot steer a terminal.
std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view before = text;
    const char32_t code = take_character(text);
    if (steers(code)) {
      out += escape_of(code);
    } else if (code == kReplacement) {
      out += "\xEF\xBF\xBD";
    } else {
      out += before.substr(0, before.size() - text.size());
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) width += columns_of(take_character(text));
  return width;
}

// ---- console
// ---------------------------------------------------------------------------------------

/// A row's cells as text, exactly one for each column, put on one line or escaped by `show`.
std::vector<std::string> texts_of(const std::vector<Cell>& row, std::size_t columns,
                                  std::string (*show)(std::string_view)) {
  std::vector<std::string> texts(columns, "-");
  for (std::size_t i = 0; i < std::min(columns, row.size()); ++i) {
    if (row[i]) texts[i] = show(*row[i]);
  }
  return texts;
}

std::vector<std::string> titles_of(const Table& table) {
  std::vector<std::string> titles;
  std::transform(table.columns.begin(), table.columns.end(), std::back_inserter(titles),
                 [](const Column& column) { return one_line(column.title); });
  return titles;
}

void append_console_line(std::string& out, const Table& table,
                         const std::vector<std::string>& texts,
                         const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string padding(widths[i] - display_width(texts[i]), ' ');
    if (i > 0) line += "  ";
    line += table.columns[i].left ? texts[i] + padding : padding + texts[i];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + '\n';
}

std::string print_console(const Table& table) {
  std::string out = table.title.empty() ? "" : one_line(table.title) + "\n\n";
  std::vector<std::vector<std::string>> lines = {titles_of(table)};
  for (const auto& row : table.rows) lines.push_back(texts_of(row, table.columns.size(), one_line));
  std::vector<std::size_t> widths(table.columns.size(), 1);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(line[i]));
    }
  }
  std::vector<std::string> rule;
  for (const std::size_t width : widths) rule.emplace_back(width, '-');
  if (!rule.empty()) lines.insert(lines.begin() + 1, rule);
  for (const auto& line : lines) {
    if (!line.empty()) append_console_line(out, table, line, widths);
  }
  if (!table.notes.empty()) out += '\n';
  for (const auto& note : table.notes) out += one_line(note) + '\n';
  return out;
}

// ---- Markdown
// --------------------------------------------------------------------------------------

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}

/// Whether the character at `i` would be read as markup. An underscore inside a word and the
/// brackets of an interval are not.
bool is_markup(std::string_view text, std::size_t i) {
  const char c = text[i];
  const char next = i + 1 < text.size() ? text[i + 1] : '\0';
  if (c == '_') return i == 0 || !is_word(text[i - 1]) || !is_word(next);
  if (c == ']') return next == '(' || next == '[' || next == ':';
  if (c == '~') return text.size() > 1;
  return c == '\\' || c == '|' || c == '`' || c == '*' || c == '$';
}

std::string markdown_text(std::string_view raw) {
  const std::string text = one_line(raw);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        if (is_markup(text, i)) out += '\\';
        out += text[i];
    }
  }
  return out;
}

std::string markdown_line(const std::vector<std::string>& texts) {
  return fmt::format("| {} |\n", fmt::join(texts, " | "));
}

std::string markdown_header(const Table& table) {
  std::vector<std::string> titles;
  std::vector<std::string> rule;
  for (const auto& column : table.columns) {
    titles.push_back(markdown_text(column.title));
    rule.emplace_back(column.left ? ":---" : "---:");
  }
  return markdown_line(titles) + markdown_line(rule);
}

std::string print_markdown(const Table& table) {
  std::string out;
  if (!table.title.empty()) out = fmt::format("**{}**\n\n", markdown_text(table.title));
  if (!table.columns.empty()) {
    out += markdown_header(table);
    for (const auto& row : table.rows)
      out += markdown_line(texts_of(row, table.columns.size(), markdown_text));
  }
  if (!table.notes.empty()) out += '\n';
  for (const auto& note : table.notes) out += fmt::format("- {}\n", markdown_text(note));
  return out;
}

// ---- numbers
// ---------------------------------------------------------------------------------------

struct Unit {
  double size;
  std::string_view name;
};

constexpr std::array<Unit, 4> kTimes = {{{1, " ns"}, {1e3, " us"}, {1e6, " ms"}, {1e9, " s"}}};
constexpr std::array<Unit, 5> kBytes = {
    {{1, " B"}, {1e3, " kB"}, {1e6, " MB"}, {1e9, " GB"}, {1e12, " TB"}}};
constexpr std::array<Unit, 6> kFlops = {{{1, " FLOP"},
                                         {1e3, " kFLOP"},
                                         {1e6, " MFLOP"},
                                         {1e9, " GFLOP"},
                                         {1e12, " TFLOP"},
                                         {1e15, " PFLOP"}}};

/// Three significant digits; all digits of a whole number up to a million; an exponent beyond.
std::string significant(double value) {
  if (value == 0) return "0";
  const std::string rounded = fmt::format("{:.2e}", value);
  const int exponent = std::atoi(rounded.c_str() + rounded.find('e') + 1);
  if (exponent >= 6 || exponent < -4) return rounded;
  return fmt::format("{:.{}f}", value, std::max(0, 2 - exponent));
}

/// The largest unit that leaves at least 1 once rounded: 999.6 us is "1.00 ms".
const Unit& unit_for(double value, std::span<const Unit> units) {
  const double rounded = std::abs(std::strtod(fmt::format("{:.2e}", value).c_str(), nullptr));
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (rounded >= unit.size) best = &unit;
  }
  return *best;
}

std::string with_unit(double value, std::span<const Unit> units) {
  if (!std::isfinite(value)) return "-";
  const Unit& unit = unit_for(value, units);
  return significant(value / unit.size).append(unit.name);
}

/// Counts below a thousand are whole: "512 B", "5 B".
std::string count_with_unit(double value, std::span<const Unit> units) {
  if (std::abs(value) < 1000 && value == std::floor(value)) {
    return fmt::format("{:.0f}{}", value, units.front().name);
  }
  return with_unit(value, units);
}

}  // namespace

std::string print_table(const Table& table, TableFormat format) {
  return format == TableFormat::markdown ? print_markdown(table) : print_console(table);
}

std::string human_time(double ns) {
  return with_unit(ns, kTimes);
}
std::string human_bytes(double bytes) {
  return count_with_unit(bytes, kBytes);
}
std::string human_flops(double flops) {
  return count_with_unit(flops, kFlops);
}

std::string human_ratio(double ratio) {
  return std::isfinite(ratio) ? significant(ratio) + "x" : "-";
}

std::string human_percent(double fraction) {
  return std::isfinite(100 * fraction) ? significant(100 * fraction) + " %" : "-";
}

std::string human_rate(double rate) {
  return std::isfinite(rate) ? significant(rate) : "-";
}

std::string human_ratio_interval(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) return "-";
  return fmt::format("[{}, {}]", significant(low), significant(high));
}

std::string human_time_interval(double centre_ns, double low_ns, double high_ns) {
  if (!std::isfinite(centre_ns)) return "-";
  const double size = unit_for(centre_ns, kTimes).size;
  return human_ratio_interval(low_ns / size, high_ns / size);
}

}  // namespace deformer
