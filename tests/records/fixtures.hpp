#pragma once
/// Lines and files to test with.

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "records/run_file.hpp"
#include "workloads/point.hpp"

namespace deformer::testing {

using Json = nlohmann::ordered_json;

/// A folder of the test's own, gone with it.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "deformer-records-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Json run_line(const std::string& id,
                     const std::map<std::string, std::string>& deciding = {}) {
  Json run = {{"type", "run"}, {"schema", 1}, {"id", id}, {"build", "0123456789ab"}};
  run["machine"] = {{"deciding", deciding.empty() ? Json::object() : Json(deciding)}};
  return run;
}

inline Json end_line(const std::string& run) {
  return {{"type", "end"}, {"run", run}, {"points", 1}, {"ok", 1}, {"wall_s", 0.5}};
}

inline Json point_of(const std::string& variant, std::int64_t question = 27) {
  Json point = {{"model", "bert-base"}, {"question", question}, {"passage", 293},
                {"batch", 1},           {"variant", variant},   {"backend", "cpu"},
                {"dtype", "f32"},       {"threads", 2},         {"seed", 1}};
  if (variant != "full") point["split"] = 9;
  if (variant == "cached") point["cache_dtype"] = "f32";
  return point;
}

inline std::string key_of(const Json& point) {
  return point_key(nlohmann::json(point));
}

/// A record that is all right, its median telling it from others.
inline Json record_of(const std::string& run, const std::string& set, const std::string& variant,
                      double median = 100, std::int64_t question = 27) {
  const Json point = point_of(variant, question);
  Json record = {{"type", "record"},
                 {"schema", 1},
                 {"run", run},
                 {"key", key_of(point)},
                 {"group", "00112233445566ff"},
                 {"name", "bert-base/" + variant},
                 {"point", point},
                 {"status", "ok"},
                 {"reason", nullptr},
                 {"set", set}};
  record["time"] = {{"unit", "ns"},       {"samples", {median, median + 1.5, 0}},
                    {"round", {0, 1, 2}}, {"median", median},
                    {"p99", nullptr},     {"stopped", "rounds"}};
  record["speedup"] = nullptr;
  if (variant != "full")
    record["speedup"] = {{"versus", {{"key", key_of(point_of("full", question))}, {"set", set}}},
                         {"samples", {2.0, nullptr}},
                         {"median", 2.0}};
  record["cost"] = {{"flops", 1e9}, {"bytes_weights", nullptr}};
  return record;
}

/// full, decomposed and cached of one group, as a run writes them.
inline std::vector<Json> set_of(const std::string& run, const std::string& set) {
  std::vector<Json> records;
  for (const char* variant : {"full", "decomposed", "cached"}) {
    records.push_back(record_of(run, set, variant));
    records.back()["set_size"] = 3;
  }
  return records;
}

inline std::string text_of(const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += to_line(line) + "\n";
  return text;
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What the action says when it throws an Error; else empty.
template <typename Error, typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace deformer::testing
