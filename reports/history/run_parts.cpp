#include "reports/history/run_parts.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "model/error.hpp"
#include "reports/fields.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

bool is_base_of_a_gate(const Json& record) {
  return text_field(record, "gate.side").value_or("") == "base";
}

}  // namespace

std::string RunParts::text() const {
  std::string text = to_line(*run) + '\n';
  for (const Json* record : records) text += to_line(*record) + '\n';
  if (end != nullptr) text += to_line(*end) + '\n';
  return text;
}

bool RunParts::is_of_base() const {
  return !records.empty() && std::ranges::all_of(records, [](const Json* record) {
    return is_base_of_a_gate(*record);
  });
}

std::vector<const Json*> RunParts::shown() const {
  std::vector<std::string> order;
  std::unordered_map<std::string, std::vector<const Json*>> by_key;
  for (const Json* record : records) {
    if (is_base_of_a_gate(*record)) continue;
    const std::string key = text_field(*record, "key").value_or("");
    if (!by_key.contains(key)) order.push_back(key);
    by_key[key].push_back(record);
  }
  std::vector<const Json*> shown;
  for (const std::string& key : order) {
    std::vector<const Json*>& all = by_key[key];
    const auto measured = [](const Json* record) {
      return field(*record, "gate") != nullptr && positive_field(*record, "time.median");
    };
    if (!std::ranges::all_of(all, measured)) {
      shown.push_back(all.back());
      continue;
    }
    std::ranges::stable_sort(
        all, {}, [](const Json* record) { return *positive_field(*record, "time.median"); });
    shown.push_back(all[(all.size() - 1) / 2]);
  }
  return shown;
}

std::vector<RunParts> parts_of(const RunFile& file) {
  std::vector<RunParts> parts;
  std::unordered_map<std::string, std::size_t> index;
  for (const Json& run : file.runs) {
    index.emplace(text_field(run, "id").value_or(""), parts.size());
    parts.push_back({&run, {}, nullptr});
  }
  for (const Json& record : file.records) {
    const std::string name = text_field(record, "run").value_or("");
    const auto found = index.find(name);
    if (found == index.end()) {
      throw BadInput(fmt::format(
          "{}: expected the run line of run '{}', whose record {} is there; found none, so the "
          "machine is unknown; nothing of the file was stored",
          file.path.string(), one_line(name), one_line(text_field(record, "name").value_or(""))));
    }
    parts[found->second].records.push_back(&record);
  }
  for (const Json& end : file.ends) {
    const auto found = index.find(text_field(end, "run").value_or(""));
    if (found != index.end()) parts[found->second].end = &end;
  }
  return parts;
}

}  // namespace deformer
