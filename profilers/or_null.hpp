#pragma once
/// What is not known is null in every document of ours.

#include <optional>

#include <nlohmann/json.hpp>

namespace deformer {

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace deformer
