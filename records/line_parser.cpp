#include "records/line_parser.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

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

/// The value of a text that simdjson has parsed; nullopt where the strict parser must have a look:
/// a name twice, values too deep, or what only it can say.
class Converter {
 public:
  static std::optional<Json> object(simdjson::dom::object from, std::size_t depth) {
    if (depth > kMaxDepth) return std::nullopt;
    Json::object_t members;
    members.reserve(from.size());
    for (const auto& member : from) {
      auto converted = value(member.value, depth);
      if (!converted) return std::nullopt;
      members.emplace_back(std::string(member.key), std::move(*converted));
    }
    if (has_repeats(members)) return std::nullopt;
    return Json(std::move(members));
  }

 private:
  static bool has_repeats(const Json::object_t& members) {
    constexpr std::size_t kFew = 32;  // beyond, the strict parser sorts
    if (members.size() > kFew) return true;
    for (auto member = members.begin(); member != members.end(); ++member)
      for (auto earlier = members.begin(); earlier != member; ++earlier)
        if (member->first == earlier->first) return true;
    return false;
  }

  static std::optional<Json> array(simdjson::dom::array from, std::size_t depth) {
    if (depth > kMaxDepth) return std::nullopt;
    Json::array_t elements;
    elements.reserve(from.size());
    for (const simdjson::dom::element element : from) {
      auto converted = value(element, depth);
      if (!converted) return std::nullopt;
      elements.push_back(std::move(*converted));
    }
    return Json(std::move(elements));
  }

  static std::optional<Json> value(simdjson::dom::element from, std::size_t depth) {
    switch (from.type()) {
      case simdjson::dom::element_type::OBJECT:
        return object(from.get_object().value_unsafe(), depth + 1);
      case simdjson::dom::element_type::ARRAY:
        return array(from.get_array().value_unsafe(), depth + 1);
      case simdjson::dom::element_type::STRING:
        return Json(std::string(from.get_string().value_unsafe()));
      case simdjson::dom::element_type::DOUBLE:
        return Json(from.get_double().value_unsafe());
      case simdjson::dom::element_type::INT64: {
        // The strict parser tells numbers from 0 as unsigned.
        const std::int64_t number = from.get_int64().value_unsafe();
        return number < 0 ? Json(number) : Json(static_cast<std::uint64_t>(number));
      }
      case simdjson::dom::element_type::UINT64:
        return Json(from.get_uint64().value_unsafe());
      case simdjson::dom::element_type::BOOL:
        return Json(from.get_bool().value_unsafe());
      case simdjson::dom::element_type::NULL_VALUE:
        return Json(nullptr);
    }
    return std::nullopt;
  }
};

/// Most of the time of reading a long file went into the other parser's lexer (a third) and into
/// growing its strings. What this one accepts, that one does too; errors are left to that one,
/// which says where they are.
std::optional<Json> parse_fast(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text.data(), text.size()).get_object().get(object) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return Converter::object(object, 1);
}

}  // namespace

Json parse_object(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) throw NotAnObject("an empty line");
  // The parser would skip a byte-order mark, and take a NUL for the end.
  if (text[first] != '{')
    throw NotAnObject(fmt::format("a line that starts with '{}'", excerpt(text.substr(first, 20))));
  if (text.find('\0') != text.npos) throw NotAnObject("a NUL byte");
  if (auto fast = parse_fast(text)) return std::move(*fast);
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
