/// Which records of one or more run files are shown together.

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "model/error.hpp"
#include "records/record_digest.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;
/// What stands under `name`, as text that tells a string from a number: a set may be either.
std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "null";
  if (!found->is_string()) return to_line(*found);
  std::string text = found->get_ref<const std::string&>();
  text += '"';
  return text;
}

/// Names one measurement. Sets are numbered within a run, so the run belongs to it. Never 0.
std::uint64_t measurement(const std::string& run, const std::string& set, const std::string& key) {
  return std::hash<std::string>{}(run + '\n' + set + '\n' + key) | 1U;
}

/// The measurement of `full` that a record's speedup was taken against; 0 where it has none.
std::uint64_t versus_of(const Json& record) {
  const auto speedup = record.find("speedup");
  if (speedup == record.end() || !speedup->is_object()) return 0;
  const auto versus = speedup->find("versus");
  if (versus == speedup->end() || !versus->is_object()) return 0;
  return measurement(text_at(record, "run"), text_at(*versus, "set"), text_at(*versus, "key"));
}

using Places = std::vector<MergedPlace>;

const RecordIdentity& at(const std::vector<MergeInput>& files, const MergedPlace& place) {
  return files[place.file].records[place.record];
}

/// All records in order, without those that an earlier file holds too: a copy, or a resumed copy.
Places without_repeats(const std::vector<MergeInput>& files) {
  Places all;
  std::unordered_set<std::uint64_t> seen;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const auto& records = files[f].records;
    for (std::size_t r = 0; r < records.size(); ++r)
      if (!seen.contains(records[r].measurement)) all.push_back({f, r});
    // Only now: within a file a later line replaces an earlier one.
    if (files.size() > 1)
      for (const RecordIdentity& record : records) seen.insert(record.measurement);
  }
  return all;
}

/// The last record of each key, where its first stood.
Places latest_of(const std::vector<MergeInput>& files, const Places& places) {
  Places latest;
  std::unordered_map<std::uint64_t, std::size_t> where;
  where.reserve(places.size());
  for (const MergedPlace& place : places) {
    const auto [found, first] = where.try_emplace(at(files, place).key, latest.size());
    if (first)
      latest.push_back(place);
    else
      latest[found->second] = place;
  }
  return latest;
}

/// A variant that a later set left out keeps the speedup of its own set; the `full` of that set is
/// put in front of it, so that every ratio shown stands beside the two medians it came from.
Places with_their_full(const std::vector<MergeInput>& files, const Places& shown,
                       const Places& all) {
  std::unordered_set<std::uint64_t> present, missing;
  for (const MergedPlace& place : shown) present.insert(at(files, place).measurement);
  for (const MergedPlace& place : shown)
    if (const auto versus = at(files, place).versus; versus != 0 && !present.contains(versus))
      missing.insert(versus);
  if (missing.empty()) return shown;
  std::unordered_map<std::uint64_t, MergedPlace> older;
  for (const MergedPlace& place : all)
    if (const auto name = at(files, place).measurement; missing.contains(name)) older[name] = place;
  Places complete;
  for (const MergedPlace& place : shown) {
    if (const auto full = older.find(at(files, place).versus); full != older.end()) {
      complete.push_back(full->second);
      older.erase(full);
    }
    complete.push_back(place);
  }
  return complete;
}

struct Owner {
  std::map<std::string, std::string> deciding;
  std::string place;
};

/// The run lines by id; of a run that stands in several files, the first.
std::unordered_map<std::string, Owner> owners(const std::vector<MergeInput>& files) {
  std::unordered_map<std::string, Owner> result;
  for (const MergeInput& file : files)
    for (const Json& run : *file.runs)
      result.try_emplace(text_at(run, "id"),
                         Owner{deciding_of_run(run), "in " + file.path.string()});
  return result;
}

void require_one_machine(const std::vector<MergeInput>& files, const Places& shown) {
  const auto runs = owners(files);
  const Owner* first = nullptr;
  std::unordered_set<std::string> compared;
  for (const MergedPlace& place : shown) {
    const std::string& run = at(files, place).run;
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

MergeInput input_of(const RunFile& file) {
  MergeInput input{file.path, &file.runs, {}};
  input.records.reserve(file.records.size());
  for (const Json& record : file.records) input.records.push_back(identity_of(record));
  return input;
}

std::string quoted_or_missing(const std::map<std::string, std::string>& fields,
                              const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "not given" : fmt::format("'{}'", found->second);
}

}  // namespace

RecordIdentity identity_of(const Json& record) {
  const std::string run = text_at(record, "run");
  const std::string key = text_at(record, "key");
  // A slowdown that was planted makes another point of it, which replaces no measurement.
  return {std::hash<std::string>{}(key + text_at(record, "injected")),
          measurement(run, text_at(record, "set"), key), versus_of(record), run};
}

std::vector<MergedPlace> merged_order(const std::vector<MergeInput>& files, bool allow_mixed) {
  const Places all = without_repeats(files);
  Places shown = with_their_full(files, latest_of(files, all), all);
  if (!allow_mixed) require_one_machine(files, shown);
  return shown;
}

std::vector<Json> latest_records(const RunFile& file) {
  return latest_records(RunFile(file));
}

std::vector<Json> latest_records(RunFile&& file) {
  const std::vector<MergeInput> inputs = {input_of(file)};
  std::vector<Json> result;
  for (const MergedPlace& place : latest_of(inputs, without_repeats(inputs)))
    result.push_back(std::move(file.records[place.record]));
  return result;
}

std::vector<Json> merged_records(const std::vector<RunFile>& files, bool allow_mixed) {
  return merged_records(std::vector<RunFile>(files), allow_mixed);
}

std::vector<Json> merged_records(std::vector<RunFile>&& files, bool allow_mixed) {
  std::vector<MergeInput> inputs;
  for (const RunFile& file : files) inputs.push_back(input_of(file));
  std::vector<Json> result;
  for (const MergedPlace& place : merged_order(inputs, allow_mixed))
    result.push_back(std::move(files[place.file].records[place.record]));
  return result;
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
