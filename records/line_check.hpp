#pragma once
/// What makes one line of a run file valid.

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace deformer {

enum class LineType { run, record, end };

/// Where a line stands, for messages.
struct LinePlace {
  std::string file;
  std::int64_t number = 0;
};

struct CheckedLine {
  LineType type = LineType::record;
  nlohmann::ordered_json json;
};

/// Parses a line and checks its fields. @throws BadInput naming file, line and field.
CheckedLine parse_line(std::string_view text, const LinePlace& place);

/// Why a line that holds this would be refused when it is read again; empty where it would not be.
std::string unreadable(const nlohmann::ordered_json& json);

/// Throws BadInput "FILE:LINE: field 'FIELD': expected ..., found ...; WHAT TO DO".
[[noreturn]] void fail_field(const LinePlace& place, std::string_view field,
                             std::string_view expected, std::string_view found);

}  // namespace deformer
