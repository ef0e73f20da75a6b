#pragma once
/// JSON that came from outside: parsed defensively, and quoted in messages without repeating what a
/// hostile file put in it.

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace deformer {

/// Parses `text`, which must be one JSON object. Stricter than JSON on what hides mistakes: a key
/// that occurs twice in one object, nesting deeper than 64 and NUL bytes are errors.
/// @throws BadInput prefixed with `where`.
nlohmann::json parse_json_object(std::string_view text, std::string_view where);

/// Reads a whole file of at most `max_bytes`. @throws BadInput naming the file: missing, a
/// directory or other special file, larger than that.
std::string read_text_file(const std::filesystem::path& path, std::int64_t max_bytes);

/// The text in double quotes, control characters replaced and long text cut: safe to print.
std::string in_quotes(std::string_view text);

/// What a value is, for "found ...": the value itself where it is short, else its type.
std::string describe(const nlohmann::json& value);

}  // namespace deformer
