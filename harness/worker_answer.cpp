#include "harness/worker_answer.hpp"

#include <cmath>

#include <fmt/format.h>

#include "harness/gate_worker.hpp"
#include "records/run_file.hpp"

namespace deformer::worker_answer {
namespace {

using nlohmann::ordered_json;

constexpr double kLargestWhole = 4e18;      ///< fits 64 bits
constexpr double kMostInstructions = 1e18;  ///< of a forward

}  // namespace

void garbage(const std::string& expected, const ordered_json& found) {
  throw WorkerFailure(WorkerFailure::Kind::garbage, fmt::format("expected {}, found {}", expected,
                                                                to_line(found).substr(0, 100)));
}

const ordered_json& member(const ordered_json& object, const char* name,
                           bool (ordered_json::*is)() const noexcept, const char* expected) {
  const auto found = object.find(name);
  if (found == object.end() || !((*found).*is)()) {
    garbage(fmt::format("{}, {}, in an answer", name, expected),
            found == object.end() ? object : *found);
  }
  return *found;
}

std::string text(const ordered_json& object, const char* name) {
  return member(object, name, &ordered_json::is_string, "a string").get<std::string>();
}

const ordered_json& array(const ordered_json& object, const char* name) {
  return member(object, name, &ordered_json::is_array, "an array");
}

double number(const ordered_json& object, const char* name) {
  return member(object, name, &ordered_json::is_number, "a number").get<double>();
}

std::int64_t whole(const ordered_json& object, const char* name) {
  const ordered_json& found =
      member(object, name, &ordered_json::is_number_integer, "a whole number");
  if (std::abs(found.get<double>()) > kLargestWhole) {
    garbage(fmt::format("{}, of at most {:g}", name, kLargestWhole), found);
  }
  return found.get<std::int64_t>();
}

std::string text_or_empty(const ordered_json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

std::vector<double> instruction_counts(const ordered_json& object, const char* name,
                                       double lowest) {
  std::vector<double> counts;
  for (const ordered_json& json : array(object, name)) {
    const double count = json.is_number() ? json.get<double>() : -1;
    if (!(count >= lowest && count <= kMostInstructions)) {
      garbage(fmt::format("instructions from {:g} to {:g}", lowest, kMostInstructions), json);
    }
    counts.push_back(count);
  }
  return counts;
}

}  // namespace deformer::worker_answer
