#pragma once
/// One line of text, of a run file or from another program, to one JSON object.

#include <cstddef>
#include <stdexcept>
#include <string_view>

#include <nlohmann/json.hpp>

namespace deformer {

/// Why a line is not one JSON object; says what was found.
class NotAnObject : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Deeper than any field of ours; keeps all that walks a value recursively from running out of
// stack.
inline constexpr std::size_t kMaxDepth = 64;

/// Stricter than JSON where leniency would hide damage: no byte-order mark, no NUL, no name twice
/// in an object, at most 64 levels. In time and memory that grow with the length of the text only.
/// @throws NotAnObject.
nlohmann::ordered_json parse_object(std::string_view text);

/// Text made fit for a one-line message: at most 80 characters, printable ASCII.
std::string excerpt(std::string_view text);

}  // namespace deformer
