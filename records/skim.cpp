#include "records/skim.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include <simdjson.h>

#include "records/line_parser.hpp"
#include "records/line_rules.hpp"
#include "records/run_file.hpp"
#include "workloads/canonical_point.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;
using Element = simdjson::dom::element;
using Type = simdjson::dom::element_type;
using Object = simdjson::dom::object;

// ---- whether a field is right -------------------------------------------------------------------

std::string_view text_of(Element value) {
  return value.type() == Type::STRING ? value.get_string().value_unsafe() : std::string_view();
}

bool is_number(Element value) {
  const Type type = value.type();
  return type == Type::DOUBLE || type == Type::INT64 || type == Type::UINT64;
}

/// A whole number of at least `least`.
bool is_whole(Element value, std::int64_t least) {
  return value.type() == Type::UINT64 ||
         (value.type() == Type::INT64 && value.get_int64().value_unsafe() >= least);
}

bool is_time(Element value) {
  return is_whole(value, 0) ||
         (value.type() == Type::DOUBLE && value.get_double().value_unsafe() >= 0);
}

bool is_hex16(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

template <typename Holds>
bool all_of_array(Element value, Holds holds) {
  if (value.type() != Type::ARRAY) return false;
  const simdjson::dom::array array = value.get_array().value_unsafe();
  for (const Element element : array)
    if (!holds(element)) return false;
  return true;
}

/// As line_check's fits; where in doubt, false.
bool surely_fits(Element value, Kind kind) {
  const Type type = value.type();
  const bool null = type == Type::NULL_VALUE;
  switch (kind) {
    case Kind::text:
      return !text_of(value).empty();
    case Kind::text_or_null:
      return null || type == Type::STRING;
    case Kind::hex16:
      return is_hex16(text_of(value));
    case Kind::count:
      return is_whole(value, 0);
    case Kind::positive:
      return is_whole(value, 1);
    case Kind::number_or_null:
      return null || is_number(value);
    case Kind::times:
      return all_of_array(value, is_time);
    case Kind::numbers_or_null:
      return null || all_of_array(value, [](Element element) {
               return is_number(element) || element.type() == Type::NULL_VALUE;
             });
    case Kind::object:
      return type == Type::OBJECT;
    case Kind::object_or_null:
      return null || type == Type::OBJECT;
    case Kind::array_or_null:
      return null || type == Type::ARRAY;
    case Kind::set_id:
      return null || type == Type::STRING || type == Type::INT64 || type == Type::UINT64;
    case Kind::nanoseconds:
      return text_of(value) == "ns";
    case Kind::status:
      return one_of(text_of(value), {"ok", "skipped", "failed", "invalid"});
    case Kind::variant:
      return one_of(text_of(value), {"full", "decomposed", "cached"});
    case Kind::text_map:
      return false;
  }
  return false;
}

bool follows(Object object, std::span<const Rule> rules) {
  std::size_t required = 0;
  for (const auto& member : object) {
    const auto rule = std::ranges::find(rules, member.key, &Rule::name);
    if (rule == rules.end()) continue;
    if (!surely_fits(member.value, rule->kind)) return false;
    required += rule->required ? 1 : 0;
  }
  // No name stands twice, so each required one was seen if as many were.
  return required == static_cast<std::size_t>(std::ranges::count(rules, true, &Rule::required));
}

/// Where there is an object under `name`, whether it follows the rules.
bool inside_follows(Object object, std::string_view name, std::span<const Rule> rules) {
  Object inside;
  return object[name].get_object().get(inside) != simdjson::SUCCESS || follows(inside, rules);
}

bool point_follows(Object point) {
  if (!follows(point, kPointRules)) return false;
  const std::string_view variant = text_of(point["variant"].value_unsafe());
  return (variant == "full" || follows(point, kSplitRules)) &&
         (variant != "cached" || follows(point, kCachedRules));
}

/// The point as its key digests it: names sorted, no spaces. nullopt unless it is flat and plain.
std::optional<std::string> canonical(Object point) {
  thread_local std::vector<std::pair<std::string_view, Element>> members;
  members.clear();
  for (const auto& member : point) members.emplace_back(member.key, member.value);
  std::ranges::sort(members, {}, [](const auto& member) { return member.first; });
  CanonicalPoint text;
  for (const auto& [name, value] : members) {
    bool plain = false;
    if (value.type() == Type::STRING)
      plain = text.add(name, value.get_string().value_unsafe());
    else if (is_whole(value, 0))
      plain = text.add(name, value.get_uint64().value_unsafe());
    else if (value.type() == Type::BOOL)
      plain = text.add(name, value.get_bool().value_unsafe());
    if (!plain) return std::nullopt;
  }
  return std::move(text).take();
}

bool is_right(Object record) {
  std::int64_t schema = 0;
  std::string_view type;
  if (record["type"].get_string().get(type) != simdjson::SUCCESS || type != "record" ||
      record["schema"].get_int64().get(schema) != simdjson::SUCCESS || schema != kRunFileSchema ||
      !follows(record, kRecordRules))
    return false;
  const Object point = record["point"].get_object().value_unsafe();
  if (!point_follows(point) || !inside_follows(record, "time", kTimeRules) ||
      !inside_follows(record, "speedup", kSpeedupRules) ||
      !inside_follows(record, "cost", kCostRules))
    return false;
  Object speedup;
  if (record["speedup"].get_object().get(speedup) == simdjson::SUCCESS &&
      !inside_follows(speedup, "versus", kVersusRules))
    return false;
  const auto text = canonical(point);
  return text && point_key_of(*text) == text_of(record["key"].value_unsafe());
}

// ---- names and depth ---------------------------------------------------------------------------

/// What hides damage, as parse_object has it: a name twice, values too deep. False where in doubt.
bool is_sound(Element value, std::size_t depth);

bool object_is_sound(Object object, std::size_t depth) {
  constexpr std::size_t kMost = 32;  // beyond, the strict parser sorts
  std::string_view names[kMost];
  std::size_t count = 0;
  std::uint64_t seen = 0;  // a bit for each length and ends: most names differ in those
  if (depth > kMaxDepth || object.size() > kMost) return false;
  for (const auto& member : object) {
    const std::string_view name = member.key;
    const unsigned ends = name.empty() ? 0U
                                       : static_cast<unsigned char>(name.front()) * 7U +
                                             static_cast<unsigned char>(name.back()) * 3U;
    const std::uint64_t bit = std::uint64_t{1} << ((name.size() * 11U + ends) % 64U);
    if ((seen & bit) != 0 && std::find(names, names + count, name) != names + count) return false;
    seen |= bit;
    names[count++] = name;
    if (!is_sound(member.value, depth)) return false;
  }
  return true;
}

bool is_sound(Element value, std::size_t depth) {
  if (value.type() == Type::OBJECT)
    return object_is_sound(value.get_object().value_unsafe(), depth + 1);
  if (value.type() != Type::ARRAY) return true;
  if (depth + 1 > kMaxDepth) return false;
  return all_of_array(value, [depth](Element element) { return is_sound(element, depth + 1); });
}

// ---- what is wanted ----------------------------------------------------------------------------

Json built(Element value);

Json built(Object object, const std::vector<std::string>* wanted) {
  Json::object_t members;
  members.reserve(wanted != nullptr ? wanted->size() : object.size());
  for (const auto& member : object)
    if (wanted == nullptr || std::ranges::find(*wanted, member.key) != wanted->end())
      members.emplace_back(std::string(member.key), built(member.value));
  return Json(std::move(members));
}

Json built(Element value) {
  switch (value.type()) {
    case Type::OBJECT:
      return built(value.get_object().value_unsafe(), nullptr);
    case Type::ARRAY:
      return Json::array();
    case Type::STRING:
      return Json(std::string(value.get_string().value_unsafe()));
    case Type::DOUBLE:
      return Json(value.get_double().value_unsafe());
    case Type::INT64:  // numbers from 0 are unsigned, as parse_object has them
      if (is_whole(value, 0)) return Json(value.get_uint64().value_unsafe());
      return Json(value.get_int64().value_unsafe());
    case Type::UINT64:
      return Json(value.get_uint64().value_unsafe());
    case Type::BOOL:
      return Json(value.get_bool().value_unsafe());
    case Type::NULL_VALUE:
      break;
  }
  return Json(nullptr);
}

}  // namespace

std::optional<Json> skim_record(std::string_view text, std::size_t following,
                                const std::vector<std::string>& wanted) {
  // What parse_object refuses though simdjson would not.
  if (!text.starts_with('{') || text.find('\0') != text.npos) return std::nullopt;
  thread_local simdjson::dom::parser parser;
  Object record;
  const bool copy = following < simdjson::SIMDJSON_PADDING;
  if (parser.parse(text.data(), text.size(), copy).get_object().get(record) != simdjson::SUCCESS ||
      !object_is_sound(record, 1) || !is_right(record))
    return std::nullopt;
  return built(record, &wanted);
}

}  // namespace deformer
