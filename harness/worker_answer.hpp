#pragma once
/// Fields of what a worker answered, none of which is believed. Each function that returns a field
/// @throws WorkerFailure, kind garbage, naming it where it is missing or another thing.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer::worker_answer {

/// Throws "expected ..., found ..." with the beginning of what was found.
[[noreturn]] void garbage(const std::string& expected, const nlohmann::ordered_json& found);

/// A member of the type that `is` tells.
const nlohmann::ordered_json& member(const nlohmann::ordered_json& object, const char* name,
                                     bool (nlohmann::ordered_json::*is)() const noexcept,
                                     const char* expected);
std::string text(const nlohmann::ordered_json& object, const char* name);
const nlohmann::ordered_json& array(const nlohmann::ordered_json& object, const char* name);
double number(const nlohmann::ordered_json& object, const char* name);
/// Small enough for sums of two.
std::int64_t whole(const nlohmann::ordered_json& object, const char* name);
/// Of an object that may be anything; empty where it has no such text.
std::string text_or_empty(const nlohmann::ordered_json& object, const char* name);
/// Counts that can be computed with, none below `lowest`.
std::vector<double> instruction_counts(const nlohmann::ordered_json& object, const char* name,
                                       double lowest);

}  // namespace deformer::worker_answer
