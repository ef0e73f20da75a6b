#include "workloads/point.hpp"
#include "workloads/canonical_point.hpp"

#include <array>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

using nlohmann::json;

/// Fields that tell variants of one group apart.
constexpr std::array<std::string_view, 5> kVariantFields{"variant", "split", "cache_dtype",
                                                         "passages", "cache_at"};

[[noreturn]] void bad_field(std::string_view field, std::string_view expected, const json& point) {
  const auto found = point.find(std::string(field));
  throw BadInput(fmt::format("field 'point.{}': expected {}, found {}", field, expected,
                             found == point.end() ? "nothing" : found->dump().substr(0, 60)));
}

std::string text_of(const json& point, const std::string& field) {
  const auto found = point.find(field);
  if (found == point.end() || !found->is_string()) {
    bad_field(field, "a string", point);
  }
  return found->get<std::string>();
}

std::int64_t number_of(const json& point, const std::string& field, std::int64_t lowest) {
  const auto found = point.find(field);
  const bool fits = found != point.end() && found->is_number_integer() &&
                    !(found->is_number_unsigned() &&
                      found->get<std::uint64_t>() >
                          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) &&
                    found->get<std::int64_t>() >= lowest;
  if (!fits) {
    bad_field(field, fmt::format("a whole number of at least {}", lowest), point);
  }
  return found->get<std::int64_t>();
}

template <typename Parse>
auto word_of(const json& point, const std::string& field, std::string_view expected, Parse parse) {
  const auto value = parse(text_of(point, field));
  if (!value) {
    bad_field(field, expected, point);
  }
  return *value;
}

std::string digest(const json& point) {
  return point_key_of(point.dump());
}

}  // namespace

std::string point_name(const Point& point) {
  std::string name = point.model;
  const auto add = [&name](const auto&... parts) {
    name += '/';
    (fmt::format_to(std::back_inserter(name), "{}", parts), ...);
  };
  if (!point.task.empty()) {
    add(point.task);
  }
  add("q", point.question);
  add("p", point.passage);
  if (point.r != 1) {
    add("r", point.r);
  }
  if (point.c != 1) {
    add("c", point.c);
  }
  if (point.order != Order::question_first) {
    add(to_string(point.order));
  }
  if (!point.lengths.empty()) {
    add(point.lengths);
  }
  if (!point.text.empty()) {
    add("text-", point.text);
  }
  if (point.variant != Variant::full) {
    add("k", point.split);
  }
  add("b", point.batch);
  add(to_string(point.variant));
  add(point.backend);
  add(to_string(point.dtype));
  if (point.variant == Variant::cached && point.cache_dtype != point.dtype) {
    add("cache-", to_string(point.cache_dtype));
  }
  if (point.variant == Variant::cached && point.passages != 0) {
    add("passages-", point.passages);
  }
  if (point.variant == Variant::cached && point.cache_at != CachePlace::device) {
    add("at-", to_string(point.cache_at));
  }
  if (point.cold) {
    add("cold");
  }
  add("t", point.threads);
  if (point.instances != 1) {
    add("i", point.instances);
  }
  if (point.seed != 1) {
    add("seed-", point.seed);
  }
  return name;
}

json point_json(const Point& point) {
  json result{{"model", point.model},
              {"question", point.question},
              {"passage", point.passage},
              {"batch", point.batch},
              {"variant", to_string(point.variant)},
              {"backend", point.backend},
              {"dtype", to_string(point.dtype)},
              {"threads", point.threads},
              {"seed", point.seed}};
  const auto add = [&result](const char* field, const auto& value, const auto& neutral) {
    if (value != neutral) {
      result[field] = value;
    }
  };
  add("weights", point.weights, "");
  add("task", point.task, "");
  add("r", point.r, 1);
  add("c", point.c, 1);
  add("lengths", point.lengths, "");
  add("text", point.text, "");
  add("instances", point.instances, 1);
  add("cold", point.cold, false);
  add("order", to_string(point.order), to_string(Order::question_first));
  if (point.variant != Variant::full) {
    result["split"] = point.split;
  }
  if (point.variant == Variant::cached) {
    result["cache_dtype"] = to_string(point.cache_dtype);
    add("passages", point.passages, 0);
    add("cache_at", to_string(point.cache_at), to_string(CachePlace::device));
  }
  return result;
}

Point point_from_json(const json& source) {
  if (!source.is_object()) {
    throw BadInput("field 'point': expected an object");
  }
  Point point;
  point.model = text_of(source, "model");
  point.question = number_of(source, "question", 1);
  point.passage = number_of(source, "passage", 1);
  point.batch = number_of(source, "batch", 1);
  point.variant = word_of(source, "variant", "full, decomposed or cached", parse_variant);
  point.backend = text_of(source, "backend");
  point.dtype = word_of(source, "dtype", "a dtype", parse_dtype);
  point.threads = static_cast<int>(number_of(source, "threads", 1));
  if (const auto seed = source.find("seed");
      seed == source.end() || !seed->is_number_integer() ||
      (!seed->is_number_unsigned() && seed->get<std::int64_t>() < 0)) {
    bad_field("seed", "a whole number of at least 0", source);
  }
  point.seed = source.at("seed").get<std::uint64_t>();
  const auto has = [&source](const char* field) { return source.contains(field); };
  point.weights = has("weights") ? text_of(source, "weights") : "";
  point.task = has("task") ? text_of(source, "task") : "";
  point.r = has("r") ? number_of(source, "r", 1) : 1;
  point.c = has("c") ? number_of(source, "c", 1) : 1;
  point.lengths = has("lengths") ? text_of(source, "lengths") : "";
  point.text = has("text") ? text_of(source, "text") : "";
  point.instances = has("instances") ? static_cast<int>(number_of(source, "instances", 1)) : 1;
  if (has("cold")) {
    if (!source.at("cold").is_boolean()) {
      bad_field("cold", "true or false", source);
    }
    point.cold = source.at("cold").get<bool>();
  }
  if (has("order")) {
    point.order = word_of(source, "order", "question-first or passage-first", parse_order);
  }
  if (point.variant != Variant::full) {
    point.split = number_of(source, "split", 0);
  }
  if (point.variant == Variant::cached) {
    point.cache_dtype = word_of(source, "cache_dtype", "a dtype", parse_dtype);
    point.passages = has("passages") ? number_of(source, "passages", 0) : 0;
    if (has("cache_at")) {
      point.cache_at = word_of(source, "cache_at", "device, pinned or pageable", parse_cache_place);
    }
  }
  return point;
}

std::string point_key(const json& point) {
  return digest(point);
}

std::string group_key(const json& point) {
  json group = point;
  for (const std::string_view field : kVariantFields) {
    group.erase(std::string(field));
  }
  return digest(group);
}

std::string point_key(const Point& point) {
  return point_key(point_json(point));
}
std::string group_key(const Point& point) {
  return group_key(point_json(point));
}

}  // namespace deformer
