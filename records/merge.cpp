/// Which records of one or more run files are shown together.

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "model/error.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;
using Records = std::vector<Json*>;

/// What stands under `name`, as text that tells a string from a number: a set may be either.
std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "null";
  if (!found->is_string()) return to_line(*found);
  std::string text = found->get_ref<const std::string&>();
  text += '"';
  return text;
}

/// Names one measurement. Sets are numbered within a run, so the run belongs to it.
std::string measurement(const std::string& run, const std::string& set, const std::string& key) {
  return run + '\n' + set + '\n' + key;
}

std::string measurement(const Json& record) {
  return measurement(text_at(record, "run"), text_at(record, "set"), text_at(record, "key"));
}

/// All records in order, without those that an earlier file holds too: a copy, or a resumed copy.
Records without_repeats(std::vector<RunFile>& files) {
  Records all;
  std::unordered_set<std::string> seen;
  for (RunFile& file : files) {
    std::vector<std::string> here;
    for (Json& record : file.records) {
      auto name = measurement(record);
      if (seen.contains(name)) continue;
      all.push_back(&record);
      if (files.size() > 1) here.push_back(std::move(name));
    }
    // Only now: within a file a later line replaces an earlier one.
    seen.insert(std::make_move_iterator(here.begin()), std::make_move_iterator(here.end()));
  }
  return all;
}

/// The last record of each key, where its first stood.
Records latest_of(const Records& records) {
  Records latest;
  std::unordered_map<std::string, std::size_t> place;
  for (Json* record : records) {
    const auto [found, first] = place.try_emplace(text_at(*record, "key"), latest.size());
    if (first)
      latest.push_back(record);
    else
      latest[found->second] = record;
  }
  return latest;
}

/// The measurement of `full` that a record's speedup was taken against; empty where it has none.
std::string versus_of(const Json& record) {
  const auto speedup = record.find("speedup");
  if (speedup == record.end() || !speedup->is_object()) return {};
  const auto versus = speedup->find("versus");
  if (versus == speedup->end() || !versus->is_object()) return {};
  return measurement(text_at(record, "run"), text_at(*versus, "set"), text_at(*versus, "key"));
}

/// A variant that a later set left out keeps the speedup of its own set; the `full` of that set is
/// put in front of it, so that every ratio shown stands beside the two medians it came from.
Records with_their_full(const Records& shown, const Records& all) {
  std::unordered_set<std::string> present, missing;
  for (const Json* record : shown) present.insert(measurement(*record));
  for (const Json* record : shown)
    if (auto versus = versus_of(*record); !versus.empty() && !present.contains(versus))
      missing.insert(std::move(versus));
  if (missing.empty()) return shown;
  std::unordered_map<std::string, Json*> older;
  for (Json* record : all)
    if (auto name = measurement(*record); missing.contains(name)) older[std::move(name)] = record;
  Records complete;
  for (Json* record : shown) {
    if (const auto full = older.find(versus_of(*record)); full != older.end()) {
      complete.push_back(full->second);
      older.erase(full);
    }
    complete.push_back(record);
  }
  return complete;
}

std::vector<Json> moved_out(const Records& records) {
  std::vector<Json> result;
  result.reserve(records.size());
  for (Json* record : records) result.push_back(std::move(*record));
  return result;
}

struct Owner {
  std::map<std::string, std::string> deciding;
  std::string place;
};

/// The run lines by id; of a run that stands in several files, the first.
std::unordered_map<std::string, Owner> owners(const std::vector<RunFile>& files) {
  std::unordered_map<std::string, Owner> result;
  for (const RunFile& file : files)
    for (const Json& run : file.runs)
      result.try_emplace(text_at(run, "id"),
                         Owner{deciding_of_run(run), "in " + file.path.string()});
  return result;
}

void require_one_machine(const std::vector<RunFile>& files, const Records& shown) {
  const auto runs = owners(files);
  const Owner* first = nullptr;
  std::unordered_set<std::string> compared;
  for (const Json* record : shown) {
    const std::string run = text_at(*record, "run");
    const auto owner = runs.find(run);
    if (owner == runs.end() || !compared.insert(run).second) continue;
    if (first == nullptr) first = &owner->second;
    const std::string differences = describe_differences(first->deciding, owner->second.deciding,
                                                         first->place, owner->second.place);
    if (differences.empty()) continue;
    throw BadInput(fmt::format(
        "expected records of one machine, found runs of different ones: {}; report the machines "
        "apart, or give --allow-mixed",
        differences));
  }
}

std::string quoted_or_missing(const std::map<std::string, std::string>& fields,
                              const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "not given" : fmt::format("'{}'", found->second);
}

}  // namespace

std::vector<Json> latest_records(const RunFile& file) {
  return latest_records(RunFile(file));
}

std::vector<Json> latest_records(RunFile&& file) {
  Records all;
  all.reserve(file.records.size());
  for (Json& record : file.records) all.push_back(&record);
  return moved_out(latest_of(all));
}

std::vector<Json> merged_records(const std::vector<RunFile>& files, bool allow_mixed) {
  return merged_records(std::vector<RunFile>(files), allow_mixed);
}

std::vector<Json> merged_records(std::vector<RunFile>&& files, bool allow_mixed) {
  const Records all = without_repeats(files);
  const Records shown = with_their_full(latest_of(all), all);
  if (!allow_mixed) require_one_machine(files, shown);
  return moved_out(shown);
}

std::map<std::string, std::string> deciding_of_run(const Json& run) {
  std::map<std::string, std::string> result;
  const auto machine = run.find("machine");
  if (machine == run.end() || !machine->is_object()) return result;
  const auto deciding = machine->find("deciding");
  if (deciding == machine->end() || !deciding->is_object()) return result;
  for (const auto& [name, value] : deciding->items())
    result[name] = value.is_string() ? value.get<std::string>() : value.dump();
  return result;
}

std::string describe_differences(const std::map<std::string, std::string>& before,
                                 const std::map<std::string, std::string>& now,
                                 const std::string& before_place, const std::string& now_place) {
  std::set<std::string> names;
  for (const auto& [name, value] : before) names.insert(name);
  for (const auto& [name, value] : now) names.insert(name);
  std::string text;
  for (const std::string& name : names) {
    const std::string old_value = quoted_or_missing(before, name);
    const std::string new_value = quoted_or_missing(now, name);
    if (old_value == new_value) continue;
    text += fmt::format("{}{}: {} {}, {} {}", text.empty() ? "" : "; ", name, old_value,
                        before_place, new_value, now_place);
  }
  return text;
}

}  // namespace deformer
