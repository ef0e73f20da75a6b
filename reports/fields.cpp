#include "reports/fields.hpp"

#include <algorithm>
#include <cmath>

namespace deformer {

using Json = nlohmann::ordered_json;

const Json* field(const Json& record, std::string_view path) {
  const Json* at = &record;
  while (true) {
    if (!at->is_object()) return nullptr;
    const std::size_t dot = path.find('.');
    // Not find(): it would want a string made of each step.
    const std::string_view step = path.substr(0, dot);
    const auto& members = at->get_ref<const Json::object_t&>();
    const auto found = std::ranges::find(members, step, &Json::object_t::value_type::first);
    if (found == members.end() || found->second.is_null()) return nullptr;
    at = &found->second;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

std::optional<double> number_field(const Json& record, std::string_view path) {
  const Json* found = field(record, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> positive_field(const Json& record, std::string_view path) {
  const auto value = number_field(record, path);
  return value && *value > 0 ? value : std::nullopt;
}

std::optional<std::string> text_field(const Json& record, std::string_view path) {
  const Json* found = field(record, path);
  if (found == nullptr) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_boolean() || number_field(record, path)) return found->dump();
  return std::nullopt;
}

const nlohmann::ordered_json& array_field(const nlohmann::ordered_json& record,
                                          std::string_view path) {
  static const auto none = nlohmann::ordered_json::array();
  const nlohmann::ordered_json* found = field(record, path);
  return found != nullptr && found->is_array() ? *found : none;
}

}  // namespace deformer
