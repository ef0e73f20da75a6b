#pragma once
/// Switches of a tokenizer's configuration.

#include <filesystem>
#include <nlohmann/json.hpp>

namespace deformer {

/// The field as a truth value; `absent` where there is none. @throws BadInput for another type.
bool json_bool(const nlohmann::json& config, const char* key, bool absent,
               const std::filesystem::path& file);

}  // namespace deformer
