#include "reports/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace deformer {
namespace {

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

}  // namespace

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

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    if (!lines.back().empty() && display_width(lines.back()) + 1 + display_width(word) > width) {
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

}  // namespace deformer
