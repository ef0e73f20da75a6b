#include "reports/gate/load.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "model/error.hpp"
#include "reports/fields.hpp"
#include "reports/gate/load_side.hpp"
#include "reports/name_match.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;
using Warn = std::function<void(const std::string&)>;

std::string marked_side(const Json& record) {
  return text_field(record, "gate.side").value_or("");
}

/// One side of all points.
struct SideOfFile {
  GateProgram program;
  std::string isa;
  std::vector<std::string> order;  ///< keys as they first appear
  std::map<std::string, std::vector<Start>> starts;
};

const Json* run_of(const RunFile& file, const Json& record) {
  const std::string id = text_field(record, "run").value_or("");
  const auto run = std::ranges::find_if(
      file.runs, [&id](const Json& line) { return text_field(line, "id").value_or("") == id; });
  return run == file.runs.end() ? nullptr : &*run;
}

GateProgram program_of(const RunFile& file, const Json* run) {
  GateProgram program;
  program.name = file.path.string();
  if (run == nullptr) {
    return program;
  }
  program.build = text_field(*run, "build").value_or("");
  program.version = text_field(*run, "version").value_or("");
  program.revision = text_field(*run, "revision").value_or("");
  program.machine = deciding_of_run(*run);
  if (const auto bytes = number_field(*run, "gate.binary_bytes")) {
    program.figures.push_back({"binary_bytes", "bytes", true, false, *bytes});
  }
  const std::string id = text_field(*run, "id").value_or("");
  program.unfinished = std::ranges::none_of(
      file.ends, [&id](const Json& end) { return text_field(end, "run").value_or("") == id; });
  return program;
}

/// The run that the side's program and machine are read from: of its last record.
const Json* leading_run(const RunFile& file, const std::vector<const Json*>& records,
                        const std::string& side) {
  if (!records.empty()) {
    return run_of(file, *records.back());
  }
  const auto own =
      std::ranges::find_if(file.runs.rbegin(), file.runs.rend(),
                           [&side](const Json& line) { return marked_side(line) == side; });
  return own != file.runs.rend() ? &*own : file.runs.empty() ? nullptr : &file.runs.back();
}

/// Of a file that holds both sides only what is marked as this one's: a side that was to be
/// measured and left no record is empty, not the other one.
std::vector<const Json*> records_of_side(const RunFile& file, const std::string& side) {
  const auto is_marked = [](const Json& line) { return !marked_side(line).empty(); };
  const bool has_sides =
      std::ranges::any_of(file.runs, is_marked) || std::ranges::any_of(file.records, is_marked);
  std::vector<const Json*> records;
  for (const Json& record : file.records) {
    if (!has_sides || marked_side(record) == side) {
      records.push_back(&record);
    }
  }
  return records;
}

SideOfFile side_of(const RunFile& file, const std::string& side,
                   const std::optional<std::regex>& filter, const Warn& warn) {
  std::vector<const Json*> records = records_of_side(file, side);
  SideOfFile found;
  const Json* leading = leading_run(file, records, side);
  found.program = program_of(file, leading);
  if (const auto isa = found.program.machine.find("isa"); isa != found.program.machine.end()) {
    found.isa = isa->second;
  }
  std::int64_t left_out = 0;
  for (const Json* record : records) {
    const Json* run = run_of(file, *record);
    if (run != nullptr && leading != nullptr && run != leading &&
        (text_field(*run, "build") != text_field(*leading, "build") ||
         deciding_of_run(*run) != found.program.machine)) {
      ++left_out;
      continue;
    }
    if (filter && !name_matches(text_field(*record, "name").value_or(""), *filter)) {
      continue;
    }
    const std::string key = text_field(*record, "key").value_or("");
    std::vector<Start>& starts = found.starts[key];
    if (starts.empty()) {
      found.order.push_back(key);
    }
    const Json* confirming = field(*record, "gate.confirming");
    starts.push_back(
        {record, text_field(*record, "gate.pair").value_or(""),
         static_cast<std::int64_t>(number_field(*record, "gate.process").value_or(0)),
         confirming != nullptr && confirming->is_boolean() && confirming->get<bool>()});
  }
  if (left_out > 0) {
    warn(fmt::format("{}: {} records of another build or machine than the last are left out",
                     file.path.string(), left_out));
  }
  return found;
}

/// Sample of each round of a record, by the round's number.
std::map<std::int64_t, GateRound> rounds_of(const Json& record) {
  std::map<std::int64_t, GateRound> rounds;
  const Json* samples = field(record, "time.samples");
  const Json* numbers = field(record, "time.round");
  const Json* ratios = field(record, "speedup.samples");
  if (samples == nullptr || !samples->is_array()) {
    return rounds;
  }
  const bool numbered =
      numbers != nullptr && numbers->is_array() && numbers->size() == samples->size();
  const bool has_ratio =
      ratios != nullptr && ratios->is_array() && ratios->size() == samples->size();
  for (std::size_t i = 0; i < samples->size(); ++i) {
    const Json& ns = (*samples)[i];
    if (!ns.is_number() || !(ns.get<double>() > 0)) {
      continue;
    }
    GateRound round{ns.get<double>(), 0};
    if (has_ratio && (*ratios)[i].is_number()) {
      round.full_ns = round.ns * (*ratios)[i].get<double>();
    }
    const bool whole = numbered && (*numbers)[i].is_number_integer();
    rounds[whole ? (*numbers)[i].get<std::int64_t>() : static_cast<std::int64_t>(i)] = round;
  }
  return rounds;
}

GatePair pair_of(const Start& base, const Start& head) {
  GatePair pair;
  pair.confirming = base.confirming || head.confirming;
  const auto of_head = rounds_of(*head.record);
  for (const auto& [number, round] : rounds_of(*base.record)) {
    if (const auto other = of_head.find(number); other != of_head.end()) {
      pair.base.push_back(round);
      pair.head.push_back(other->second);
    }
  }
  return pair;
}

GateProcess process_of(const Json& record) {
  GateProcess process;
  for (const auto& [number, round] : rounds_of(record)) {
    process.rounds.push_back(round);
  }
  return process;
}

bool is_ok(const Start& start) {
  return text_field(*start.record, "status") == "ok";
}

void add_observations(GatePoint& point, const std::vector<Start>& base,
                      const std::vector<Start>& head) {
  for (const Start& start : base) {
    if (start.pair.empty() || !is_ok(start)) {
      continue;
    }
    const auto other = std::ranges::find_if(head, [&start](const Start& candidate) {
      return candidate.pair == start.pair && candidate.process == start.process && is_ok(candidate);
    });
    if (other != head.end()) {
      point.pairs.push_back(pair_of(start, *other));
    }
  }
  if (!point.pairs.empty()) {
    return;
  }
  for (const auto& [starts, processes] :
       {std::pair{&base, &point.base_alone}, {&head, &point.head_alone}}) {
    for (const Start& start : *starts) {
      if (is_ok(start)) {
        processes->push_back(process_of(*start.record));
      }
    }
  }
}

std::optional<std::regex> compiled(const std::string& filter) {
  if (filter.empty()) {
    return std::nullopt;
  }
  try {
    return std::regex(filter);
  } catch (const std::regex_error& error) {
    throw BadInput(fmt::format("--filter: expected a regular expression, found '{}': {}", filter,
                               error.what()));
  }
}

}  // namespace

GateInput gate_input(const RunFile& base_file, const RunFile& head_file, const std::string& filter,
                     const Warn& warn) {
  for (const RunFile* file : {&base_file, &head_file}) {
    if (!file->torn_tail.empty()) {
      warn(file->torn_tail);
    }
  }
  const std::optional<std::regex> wanted = compiled(filter);
  const SideOfFile base = side_of(base_file, "base", wanted, warn);
  const SideOfFile head = side_of(head_file, "head", wanted, warn);
  GateInput input;
  input.base = base.program;
  input.head = head.program;
  std::vector<std::string> keys = base.order;
  std::ranges::copy_if(head.order, std::back_inserter(keys),
                       [&base](const std::string& key) { return !base.starts.contains(key); });
  static const std::vector<Start> kNone;
  for (const std::string& key : keys) {
    const auto in_base = base.starts.find(key);
    const auto in_head = head.starts.find(key);
    const std::vector<Start>& starts_base = in_base == base.starts.end() ? kNone : in_base->second;
    const std::vector<Start>& starts_head = in_head == head.starts.end() ? kNone : in_head->second;
    const Json& told = *(starts_head.empty() ? starts_base : starts_head).back().record;
    GatePoint point;
    point.key = key;
    point.name = text_field(told, "name").value_or(key);
    point.group = text_field(told, "group").value_or("");
    point.variant = text_field(told, "point.variant").value_or("");
    point.reproduce = text_field(told, "reproduce").value_or("");
    if (!starts_base.empty()) {
      point.base = gate_side(starts_base, base.isa, base.program.build);
    }
    if (!starts_head.empty()) {
      point.head = gate_side(starts_head, head.isa, head.program.build);
    }
    add_observations(point, starts_base, starts_head);
    input.points.push_back(std::move(point));
  }
  return input;
}

}  // namespace deformer
