#include "model/json_input.hpp"

#include <fmt/format.h>

#include <fstream>
#include <set>
#include <vector>

#include "model/error.hpp"

namespace deformer {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxQuoted = 80;

/// Cuts to kMaxQuoted bytes, never inside a UTF-8 character, and replaces control characters.
std::string printable(std::string_view text) {
  std::string out;
  std::size_t end = std::min(text.size(), kMaxQuoted);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  if (end < text.size()) out += "...";
  return out;
}

/// The parser's own text without its "[json.exception...]" tag.
std::string parser_message(const json::exception& error) {
  const std::string_view what = error.what();
  const auto tag_end = what.find("] ");
  return printable(tag_end == std::string_view::npos ? what : what.substr(tag_end + 2));
}

/// Watches the parse: nesting is bounded while it grows, and a second occurrence of a key is seen
/// before it overwrites the first.
class Watch {
 public:
  explicit Watch(std::string_view where) : where_(where) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys_.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= kMaxDepth) {
          throw BadInput(fmt::format("{}: JSON nested deeper than {} levels", where_, kMaxDepth));
        }
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key:
        if (const auto& key = parsed.get_ref<const std::string&>();
            !keys_.back().insert(key).second) {
          throw BadInput(
              fmt::format("{}: the key {} occurs twice in one object; expected each once", where_,
                          in_quotes(key)));
        }
        break;
      default:
        break;
    }
    return true;
  }

 private:
  std::string_view where_;
  std::vector<std::set<std::string, std::less<>>> keys_;
};

}  // namespace

std::string in_quotes(std::string_view text) {
  return '"' + printable(text) + '"';
}

std::string describe(const json& value) {
  if (value.is_null()) return "null";
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_primitive()) return printable(value.dump());
  return fmt::format("an {} of {} entries", value.type_name(), value.size());
}

json parse_json_object(std::string_view text, std::string_view where) {
  // The parser takes a NUL for the end of its input and would ignore what follows.
  if (text.find('\0') != std::string_view::npos) {
    throw BadInput(fmt::format("{}: NUL byte in JSON text", where));
  }
  json value;
  try {
    Watch watch(where);
    value = json::parse(text.begin(), text.end(), std::ref(watch));
  } catch (const json::exception& error) {
    throw BadInput(fmt::format("{}: malformed JSON: {}", where, parser_message(error)));
  }
  if (!value.is_object()) {
    throw BadInput(fmt::format("{}: expected a JSON object, found {}", where, describe(value)));
  }
  return value;
}

std::string read_text_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw BadInput(fmt::format("{}: no such file", path.string()));
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw BadInput(
        fmt::format("{}: expected a regular file, found {}", path.string(),
                    std::filesystem::is_directory(status) ? "a directory" : "a special file"));
  }
  const auto size = std::filesystem::file_size(path, error);
  if (error || size > static_cast<std::uintmax_t>(max_bytes)) {
    throw BadInput(fmt::format("{}: expected at most {} bytes, found {}", path.string(), max_bytes,
                               error ? error.message() : fmt::to_string(size)));
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    throw BadInput(fmt::format("{}: cannot be read; check its permissions", path.string()));
  }
  return text;
}

}  // namespace deformer
