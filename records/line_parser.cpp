#include "records/line_parser.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

// Deeper than any field of ours; keeps all that walks a value recursively from running out of
// stack.
constexpr std::size_t kMaxDepth = 64;

/// Builds the value from the parser's events. The library's own builder appends to each object
/// member by member: it looks every new name up among those before it (quadratic in a hostile
/// object) and grows as it goes, which costs most of the time of reading a long file and a third
/// more memory.
class Builder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string& /*text*/) override { return add(value); }
  // Copied: the parser's buffer is mostly larger than what it holds, and is used again.
  bool string(std::string& value) override { return add(std::as_const(value)); }
  bool binary(Json::binary_t& /*value*/) override { return false; }
  bool key(std::string& name) override {
    names_.push_back(name);
    return true;
  }
  bool start_object(std::size_t /*size*/) override { return open(); }
  bool start_array(std::size_t /*size*/) override { return open(); }
  bool end_object() override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& error) override;

  Json take() { return std::move(values_.front()); }

 private:
  template <typename Value>
  bool add(Value&& value) {
    values_.emplace_back(std::forward<Value>(value));
    return true;
  }
  bool open() {
    if (open_.size() == kMaxDepth)
      throw NotAnObject(fmt::format("values nested over {} deep", kMaxDepth));
    open_.push_back({values_.size(), names_.size()});
    return true;
  }

  struct Start {
    std::size_t value, name;
  };
  std::vector<Start> open_;         ///< where the values and names of each open one start
  std::vector<Json> values_;        ///< complete ones, of all that is open
  std::vector<std::string> names_;  ///< of the members of the objects among them
};

/// Null where no name stands twice.
const std::string* repeated(std::span<const std::string> names) {
  constexpr std::size_t kFew = 32;  // up to here, comparing all pairs is faster than sorting
  if (names.size() <= kFew) {
    for (std::size_t i = 1; i < names.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (names[i] == names[j]) return &names[i];
    return nullptr;
  }
  std::vector<const std::string*> sorted;
  for (const std::string& name : names) sorted.push_back(&name);
  const auto text = [](const std::string* name) -> const std::string& { return *name; };
  std::ranges::sort(sorted, {}, text);
  const auto twice = std::ranges::adjacent_find(sorted, {}, text);
  return twice == sorted.end() ? nullptr : *twice;
}

bool Builder::end_object() {
  const Start start = open_.back();
  const auto name = names_.begin() + static_cast<std::ptrdiff_t>(start.name);
  if (const auto* twice = repeated(std::span<const std::string>(names_).subspan(start.name)))
    throw NotAnObject(fmt::format("the field '{}' twice", excerpt(*twice)));
  Json::object_t members;
  members.reserve(names_.size() - start.name);
  for (std::size_t i = start.name, v = start.value; i < names_.size(); ++i, ++v)
    members.emplace_back(std::move(names_[i]), std::move(values_[v]));
  names_.erase(name, names_.end());
  values_.resize(start.value);
  open_.pop_back();
  return add(std::move(members));
}

bool Builder::end_array() {
  const auto first = values_.begin() + static_cast<std::ptrdiff_t>(open_.back().value);
  Json::array_t elements(std::make_move_iterator(first), std::make_move_iterator(values_.end()));
  values_.erase(first, values_.end());
  open_.pop_back();
  return add(std::move(elements));
}

bool Builder::parse_error(std::size_t /*position*/, const std::string& /*token*/,
                          const nlohmann::json::exception& error) {
  // Without the library's own prefix and line number (a line of ours is one to it).
  std::string_view text = error.what();
  if (const auto prefix = text.find("] "); prefix != text.npos) text.remove_prefix(prefix + 2);
  if (const auto column = text.find("column "); column != text.npos) text.remove_prefix(column);
  throw NotAnObject(fmt::format("malformed JSON ({})", excerpt(text)));
}

}  // namespace

Json parse_object(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) throw NotAnObject("an empty line");
  // The parser would skip a byte-order mark, and take a NUL for the end.
  if (text[first] != '{')
    throw NotAnObject(fmt::format("a line that starts with '{}'", excerpt(text.substr(first, 20))));
  if (text.find('\0') != text.npos) throw NotAnObject("a NUL byte");
  Builder builder;
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string shown(text.substr(0, kLongest));
  for (char& c : shown)
    if (c < ' ' || c > '~') c = '?';
  if (text.size() > kLongest) shown += "...";
  return shown;
}

}  // namespace deformer
