#pragma once
/// Text that comes from files and may be hostile, made fit to be shown. What every printer starts
/// from.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

inline constexpr char32_t kReplacement = 0xFFFD;

/// Takes one character off the front of `text`. What is not UTF-8 goes a byte at a time as U+FFFD.
char32_t take_character(std::string_view& text);

/// Valid UTF-8 on one line that cannot steer a terminal: control and bidirectional characters are
/// shown as escapes (`\n`, `\x1b`, `\u202e`).
std::string one_line(std::string_view text);

/// Columns a text takes on a terminal.
std::size_t display_width(std::string_view text);

/// The words of a text in lines of at most `width` columns; a longer word has a line of its own,
/// unbroken. A text without words is one empty line.
std::vector<std::string> wrapped(std::string_view text, std::size_t width);

}  // namespace deformer
