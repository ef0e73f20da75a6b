#include "records/line_check.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

#include <fmt/format.h>

#include "model/error.hpp"
#include "records/line_parser.hpp"
#include "records/line_rules.hpp"
#include "records/run_file.hpp"
#include "workloads/point.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

bool one_of(const Json& value, std::initializer_list<std::string_view> words) {
  if (!value.is_string()) return false;
  return std::ranges::find(words, value.get_ref<const std::string&>()) != words.end();
}

bool is_hex16(const Json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_text_map(const Json& value) {
  return value.is_object() &&
         std::ranges::all_of(value, [](const Json& member) { return member.is_string(); });
}

bool all_times(const Json& value) {
  return value.is_array() && std::ranges::all_of(value, [](const Json& sample) {
           return sample.is_number() && sample.get<double>() >= 0;
         });
}

bool all_numbers(const Json& value) {
  return value.is_array() && std::ranges::all_of(value, [](const Json& number) {
           return number.is_number() || number.is_null();
         });
}

bool fits(const Json& value, Kind kind) {
  const bool null = value.is_null();
  switch (kind) {
    case Kind::text:
      return value.is_string() && !value.get_ref<const std::string&>().empty();
    case Kind::text_or_null:
      return null || value.is_string();
    case Kind::hex16:
      return is_hex16(value);
    case Kind::count:
      return value.is_number_unsigned();
    case Kind::positive:
      return value.is_number_unsigned() && value.get<std::uint64_t>() > 0;
    case Kind::number_or_null:
      return null || value.is_number();
    case Kind::times:
      return all_times(value);
    case Kind::numbers_or_null:
      return null || all_numbers(value);
    case Kind::object:
      return value.is_object();
    case Kind::object_or_null:
      return null || value.is_object();
    case Kind::array_or_null:
      return null || value.is_array();
    case Kind::set_id:
      return null || value.is_string() || value.is_number_integer();
    case Kind::nanoseconds:
      return one_of(value, {"ns"});
    case Kind::status:
      return one_of(value, {"ok", "skipped", "failed", "invalid"});
    case Kind::variant:
      return one_of(value, {"full", "decomposed", "cached"});
    case Kind::text_map:
      return null || is_text_map(value);
  }
  return false;
}

const char* expectation(Kind kind) {
  switch (kind) {
    case Kind::text:
      return "a string that is not empty";
    case Kind::text_or_null:
      return "a string or null";
    case Kind::hex16:
      return "a string of 16 hex digits (0-9, a-f)";
    case Kind::count:
      return "an integer of 0 or more";
    case Kind::positive:
      return "an integer of 1 or more";
    case Kind::number_or_null:
      return "a number or null";
    case Kind::times:
      return "an array of numbers of 0 or more";
    case Kind::numbers_or_null:
      return "an array of numbers, or null";
    case Kind::object:
      return "an object";
    case Kind::object_or_null:
      return "an object or null";
    case Kind::array_or_null:
      return "an array or null";
    case Kind::set_id:
      return "a string, an integer or null";
    case Kind::nanoseconds:
      return "the string \"ns\"";
    case Kind::status:
      return "one of ok, skipped, failed, invalid";
    case Kind::variant:
      return "one of full, decomposed, cached";
    case Kind::text_map:
      return "an object of strings, or null";
  }
  return "";
}

/// What stands there, in words; for an array that is not all right, its first bad element.
std::string describe(const Json& value, Kind kind) {
  if (value.is_array() && (kind == Kind::times || kind == Kind::numbers_or_null)) {
    for (std::size_t i = 0; i < value.size(); ++i)
      if (!fits(Json::array({value[i]}), kind))
        return fmt::format("{} at index {}", describe(value[i], Kind::object), i);
  }
  if (value.is_string())
    return fmt::format("the string \"{}\"", excerpt(value.get_ref<const std::string&>()));
  if (value.is_number()) return "the number " + value.dump();
  if (value.is_boolean()) return value.dump();
  if (value.is_array()) return "an array";
  return value.is_object() ? "an object" : "null";
}

void check(const Json& object, std::span<const Rule> rules, std::string_view prefix,
           const LinePlace& place) {
  for (const Rule& rule : rules) {
    const auto found = object.find(rule.name.data());
    if (found == object.end() && !rule.required) continue;
    if (found != object.end() && fits(*found, rule.kind)) continue;
    fail_field(place, fmt::format("{}{}", prefix, rule.name), expectation(rule.kind),
               found == object.end() ? "nothing" : describe(*found, rule.kind));
  }
}

/// Checks the object under `name` where there is one.
void check_inside(const Json& object, const char* name, std::span<const Rule> rules,
                  std::string_view prefix, const LinePlace& place) {
  const auto inside = object.find(name);
  if (inside != object.end() && inside->is_object())
    check(*inside, rules, fmt::format("{}{}.", prefix, name), place);
}

void check_point(const Json& record, const LinePlace& place) {
  const Json& point = record["point"];
  check(point, kPointRules, "point.", place);
  const auto& variant = point["variant"].get_ref<const std::string&>();
  if (variant != "full") check(point, kSplitRules, "point.", place);
  if (variant == "cached") check(point, kCachedRules, "point.", place);
  const std::string key = point_key(nlohmann::json(point));
  const auto& given = record["key"].get_ref<const std::string&>();
  if (key != given)
    fail_field(place, "key", fmt::format("\"{}\", the digest of field 'point'", key),
               fmt::format("\"{}\": the key does not match the point", given));
}

void check_record(const Json& record, const LinePlace& place) {
  check(record, kRecordRules, "", place);
  check_point(record, place);
  check_inside(record, "time", kTimeRules, "", place);
  check_inside(record, "speedup", kSpeedupRules, "", place);
  check_inside(record, "cost", kCostRules, "", place);
  const auto speedup = record.find("speedup");
  if (speedup != record.end() && speedup->is_object())
    check_inside(*speedup, "versus", kVersusRules, "speedup.", place);
}

void check_schema(const Json& json, bool required, const LinePlace& place) {
  const auto schema = json.find("schema");
  if (schema == json.end() && !required) return;
  if (schema != json.end() && *schema == kRunFileSchema) return;
  throw BadInput(fmt::format(
      "{}:{}: field 'schema': expected {}, found {}; read this file with the version of "
      "deformer-bench that wrote it",
      place.file, place.number, kRunFileSchema,
      schema == json.end() ? "nothing" : describe(*schema, Kind::object)));
}

LineType check_fields(const Json& json, const LinePlace& place) {
  const auto type = json.find("type");
  if (type != json.end() && *type == "run") {
    check_schema(json, true, place);
    check(json, kRunRules, "", place);
    check_inside(json, "machine", kMachineRules, "", place);
    return LineType::run;
  }
  if (type != json.end() && *type == "record") {
    check_schema(json, true, place);
    check_record(json, place);
    return LineType::record;
  }
  check_schema(json, false, place);
  if (type == json.end() || *type != "end")
    fail_field(place, "type", "one of run, record, end",
               type == json.end() ? "nothing" : describe(*type, Kind::object));
  check(json, kEndRules, "", place);
  return LineType::end;
}

}  // namespace

void fail_field(const LinePlace& place, std::string_view field, std::string_view expected,
                std::string_view found) {
  throw BadInput(
      fmt::format("{}:{}: field '{}': expected {}, found {}; correct or remove this line",
                  place.file, place.number, field, expected, found));
}

CheckedLine parse_line(std::string_view text, const LinePlace& place) {
  CheckedLine line;
  try {
    line.json = parse_object(text);
  } catch (const NotAnObject& found) {
    throw BadInput(
        fmt::format("{}:{}: expected one JSON object, found {}; correct or remove this line",
                    place.file, place.number, found.what()));
  }
  line.type = check_fields(line.json, place);
  return line;
}

std::string unreadable(const Json& json) {
  try {
    parse_line(to_line(json), {"a line", 0});
  } catch (const BadInput& error) {
    return error.what();
  }
  return "";
}

}  // namespace deformer
