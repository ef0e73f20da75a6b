#pragma once
/// A record read for some of its fields: every field is checked, few are built. Building the whole
/// value was nine tenths of the time of reading a long file. Internal to records/.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// Length-one answer to "is this a valid record?": the record's `wanted` top-level fields, arrays
/// in them left empty, where every check of parse_line passes beyond doubt. nullopt for all else
/// (bad lines, other types of line, what is rare): parse_line then decides, and says what is wrong.
/// `following` bytes after the text can be read (simdjson reads ahead); without them it is copied.
std::optional<nlohmann::ordered_json> skim_record(std::string_view text, std::size_t following,
                                                  const std::vector<std::string>& wanted);

}  // namespace deformer
