#include <fmt/format.h>

#include <cctype>

#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

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

}  // namespace

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

void print_markdown(const Table& table, const Sink& sink) {
  if (!table.title.empty()) sink(fmt::format("**{}**\n\n", markdown_text(table.title)));
  if (!table.columns.empty()) {
    std::string head(1, '|');
    std::string rule(1, '|');
    for (const Column& column : table.columns) {
      head += ' ' + markdown_text(column.title) + " |";
      rule += column.left ? " :--- |" : " ---: |";
    }
    sink(head + '\n' + rule + '\n');
    print_rows(
        table.rows.size(),
        [&table](std::size_t r, std::string& out) {
          const auto& row = table.rows[r];
          out += '|';
          for (std::size_t c = 0; c < table.columns.size(); ++c) {
            out += ' ';
            out += c < row.size() ? markdown_text(human_cell(table.columns[c], row[c])) : "-";
            out += " |";
          }
          out += '\n';
        },
        sink);
  }
  if (!table.notes.empty() || !table.commands.empty()) sink("\n");
  for (const auto& note : table.notes) sink(fmt::format("- {}\n", markdown_text(note)));
  for (const auto& command : table.commands) sink(fmt::format("- {}\n", markdown_text(command)));
}

}  // namespace deformer
