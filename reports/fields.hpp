#pragma once
/// Reading fields of records without trusting them: what is missing, null, mistyped or not finite
/// is nullopt, never an exception.

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace deformer {

/// The value at a dotted path ("time.median"); nullptr when any step is missing or null.
const nlohmann::ordered_json* field(const nlohmann::ordered_json& record, std::string_view path);

/// A finite number.
std::optional<double> number_field(const nlohmann::ordered_json& record, std::string_view path);

/// A finite number above zero: what a time, a ratio or a count of FLOPs must be to be computed
/// with.
std::optional<double> positive_field(const nlohmann::ordered_json& record, std::string_view path);

/// A string; a number or a truth value as JSON spells it.
std::optional<std::string> text_field(const nlohmann::ordered_json& record, std::string_view path);

/// An array; an empty one in place of anything else.
const nlohmann::ordered_json& array_field(const nlohmann::ordered_json& record,
                                          std::string_view path);

}  // namespace deformer
