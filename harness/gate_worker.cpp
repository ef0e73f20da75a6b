#include "harness/gate_worker.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "harness/worker_answer.hpp"
#include "harness/worker_protocol.hpp"
#include "profilers/clock.hpp"
#include "records/line_check.hpp"
#include "records/line_parser.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using namespace worker_answer;
using nlohmann::ordered_json;
using Kind = WorkerFailure::Kind;

/// A worker that takes this many times as long as it said hangs.
constexpr double kPatience = 20;
constexpr double kFewestSeconds = 10;
constexpr double kFarewellSeconds = 2;
constexpr std::size_t kMostPoints = 1'000'000;  ///< of a sweep
constexpr double kLongestRoundNs = 1e13;

WorkerPoint read_point(const ordered_json& json) {
  if (!json.is_object()) {
    garbage("a point, an object", json);
  }
  WorkerPoint point{text(json, "key"), text(json, "name"), text(json, "reproduce"),
                    member(json, "point", &ordered_json::is_object, "an object"), std::nullopt};
  const auto skip = json.find("skip");
  if (skip != json.end() && !skip->is_null()) {
    point.skip = skip->is_string() ? skip->get<std::string>() : to_line(*skip);
  }
  return point;
}

/// A record must be what the run file takes, of the point and set that were asked for.
void check_record(const ordered_json& record, const std::string& run, const std::string& set) {
  const auto time = record.is_object() ? record.find("time") : record.end();
  if (!record.is_object() || text_or_empty(record, "run") != run ||
      text_or_empty(record, "set") != set || text_or_empty(record, "type") != "record" ||
      time == record.end() || !time->is_object()) {
    garbage("a record of the run and set asked for, with its time", record);
  }
  if (const std::string why = unreadable(record); !why.empty()) {
    throw WorkerFailure(Kind::garbage, "expected a record, found that " + why);
  }
  (void)array(*time, "samples");
}

std::vector<std::string> words_of(const std::string& program,
                                  const std::vector<std::string>& launcher) {
  std::vector<std::string> words;
  if (!launcher.empty()) {
    words.assign(launcher.begin() + 1, launcher.end());
    words.push_back(program);
  }
  words.insert(words.end(), {"sweep", "--worker"});
  return words;
}

}  // namespace

GateWorker::GateWorker(const std::string& program, const WorkerTimeouts& timeouts,
                       const std::vector<std::string>& launcher)
    : timeouts_(timeouts),
      child_(launcher.empty() ? program : launcher.front(), words_of(program, launcher)) {
  read_hello(std::min(timeouts.start_s, timeouts.answer_s));
}

ordered_json GateWorker::read(double timeout_s) {
  std::string line;
  try {
    line = child_.read_line(timeout_s);
  } catch (const ChildFailure& failure) {
    throw WorkerFailure(failure.kind() == ChildFailure::Kind::ended       ? Kind::crashed
                        : failure.kind() == ChildFailure::Kind::timed_out ? Kind::hung
                                                                          : Kind::garbage,
                        failure.kind() == ChildFailure::Kind::timed_out
                            ? fmt::format("{} ({:.3g} s)", failure.what(), timeout_s)
                            : failure.what());
  }
  ordered_json answer;
  try {
    answer = parse_object(line);
  } catch (const NotAnObject& error) {
    throw WorkerFailure(Kind::garbage, fmt::format("expected an answer of the worker protocol, "
                                                   "found {}: '{}'",
                                                   error.what(), excerpt(line)));
  }
  if (text_or_empty(answer, "type").empty()) {
    garbage("an answer of the worker protocol, an object with its type", answer);
  }
  return answer;
}

/// A program that knows no `sweep --worker` says so on stderr and ends with code 2: it is older
/// than the protocol.
void GateWorker::read_hello(double timeout_s) {
  ordered_json answer;
  try {
    answer = read(timeout_s);
  } catch (const WorkerFailure& failure) {
    const std::string words = child_.last_words();
    if (failure.kind() == Kind::crashed && words.find("--worker") != std::string::npos) {
      throw WorkerFailure(Kind::old_protocol,
                          fmt::format("it knows no `sweep --worker`: {}", failure.what()));
    }
    if (failure.kind() == Kind::crashed) {
      throw WorkerFailure(Kind::crashed, fmt::format("{} (before its hello: is it a deformer-bench "
                                                     "that runs here?)",
                                                     failure.what()));
    }
    throw;
  }
  if (answer["type"] != "hello") {
    garbage("a hello", answer);
  }
  const std::int64_t newest = whole(answer, "protocol");
  const std::int64_t oldest = answer.contains("oldest") ? whole(answer, "oldest") : newest;
  if (newest < kOldestWorkerProtocol || oldest > kWorkerProtocol) {
    throw WorkerFailure(
        Kind::old_protocol,
        fmt::format("it speaks the worker protocol {}, this gate {}; measure with the gate of the "
                    "newer one, or compare run files with `gate files`",
                    newest, kWorkerProtocol));
  }
  hello_ = {text(answer, "version"),
            text_or_empty(answer, "revision"),
            text(answer, "build"),
            text_or_empty(answer, "flags"),
            member(answer, "machine", &ordered_json::is_object, "an object"),
            {}};
  if (const auto counts = answer.find("counts"); counts != answer.end() && counts->is_array()) {
    for (const ordered_json& by : *counts) {
      hello_.counts.push_back(by.is_string() ? by.get<std::string>() : "");
    }
  }
  check_clock(answer);
}

void GateWorker::check_clock(const ordered_json& answer) {
  const ordered_json& clock = member(answer, "clock", &ordered_json::is_object, "an object");
  const std::string theirs =
      its_clock_.look({whole(clock, "monotonic_ns"), whole(clock, "realtime_ns")});
  const std::string ours = our_clock_.look(read_clocks());
  if (!theirs.empty() || !ours.empty()) {
    throw WorkerFailure(Kind::clock, theirs.empty() ? "here: " + ours : theirs);
  }
}

ordered_json GateWorker::ask(ordered_json request, const char* expected, double timeout_s) {
  const std::int64_t id = ++asked_;
  request["id"] = id;
  try {
    child_.write_line(to_line(request), timeout_s);
  } catch (const ChildFailure& failure) {
    throw WorkerFailure(failure.kind() == ChildFailure::Kind::ended ? Kind::crashed : Kind::hung,
                        failure.what());
  }
  ordered_json answer = read(timeout_s);
  if (answer["type"] == "error") {
    throw WorkerFailure(Kind::refused,
                        fmt::format("it refused to {}: {}", text_or_empty(request, "type"),
                                    text_or_empty(answer, "message")));
  }
  if (answer["type"] != expected || !answer.contains("id") || answer["id"] != id) {
    garbage(fmt::format("the answer '{}' to request {}", expected, id), answer);
  }
  return answer;
}

std::vector<WorkerGroupPlan> GateWorker::plan(const std::vector<std::string>& arguments) {
  const ordered_json answer =
      ask({{"type", "plan"}, {"arguments", arguments}}, "planned", timeouts_.answer_s);
  std::vector<WorkerGroupPlan> groups;
  std::set<std::string> keys, group_keys;
  for (const ordered_json& json : array(answer, "groups")) {
    if (!json.is_object()) {
      garbage("a group, an object", json);
    }
    WorkerGroupPlan group{text(json, "group"), text(json, "name"), {}};
    if (!group_keys.insert(group.key).second) {
      garbage("each group once", json);
    }
    for (const ordered_json& point : array(json, "points")) {
      group.points.push_back(read_point(point));
      if (!keys.insert(group.points.back().key).second || keys.size() > kMostPoints) {
        garbage("each point once", point);
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

WorkerPrepared GateWorker::prepare(const std::string& group, bool parity,
                                   const std::string& inject) {
  ordered_json request{{"type", "prepare"}, {"group", group}, {"parity", parity}};
  if (!inject.empty()) {
    request["inject"] = inject;
  }
  const ordered_json answer = ask(std::move(request), "prepared", timeouts_.answer_s);
  if (text_or_empty(answer, "injected") != inject) {
    garbage(fmt::format("the slowdown '{}' to be planted", inject), answer);
  }
  const double round_ns = number(answer, "round_ns");
  if (!std::isfinite(round_ns) || round_ns <= 0 || round_ns > kLongestRoundNs) {
    garbage("round_ns, above 0", answer);
  }
  WorkerPrepared prepared{round_ns * 1e-9, {}, ""};
  for (const ordered_json& point : array(answer, "points")) {
    if (!point.is_object()) {
      garbage("a point, an object", point);
    }
    prepared.keys.push_back(text(point, "key"));
    const auto found = point.find("parity");
    const bool checked = found != point.end() && found->is_object();
    if (parity && !checked) {
      garbage("the parity that was asked for", point);
    }
    if (checked && !member(*found, "ok", &ordered_json::is_boolean, "true or false").get<bool>()) {
      prepared.parity_failed = fmt::format("{}: {}", prepared.keys.back(), to_line(*found));
    }
  }
  round_s_ = prepared.round_s;
  prepared_ = prepared.keys;
  measured_ = 0;
  return prepared;
}

std::vector<bool> GateWorker::measure(std::int64_t rounds) {
  const double expected_s = round_s_ * static_cast<double>(rounds);
  const double timeout_s = std::min(timeouts_.answer_s, kFewestSeconds + kPatience * expected_s);
  const std::int64_t begin_ns = now_ns();
  const ordered_json answer = ask({{"type", "measure"}, {"rounds", rounds}}, "measured", timeout_s);
  const auto here_ns = static_cast<double>(now_ns() - begin_ns);
  const double there_ns = number(answer, "elapsed_ns");
  if (!std::isfinite(there_ns) || there_ns < 0 || there_ns > here_ns) {
    throw WorkerFailure(Kind::clock,
                        fmt::format("it says that {:.6f} s passed while it measured, here {:.6f} s "
                                    "did",
                                    there_ns * 1e-9, here_ns * 1e-9));
  }
  check_clock(answer);
  const ordered_json& list = array(answer, "rounds");
  if (whole(answer, "first") != measured_ || static_cast<std::int64_t>(list.size()) != rounds) {
    garbage(fmt::format("{} rounds from {} on", rounds, measured_), answer);
  }
  std::vector<bool> disturbed;
  for (const ordered_json& round : list) {
    if (!round.is_object()) {
      garbage("a round, an object", round);
    }
    disturbed.push_back(
        member(round, "disturbed", &ordered_json::is_boolean, "true or false").get<bool>());
  }
  measured_ += rounds;
  return disturbed;
}

std::vector<ordered_json> GateWorker::records(const std::string& run, const std::string& set,
                                              const std::vector<std::int64_t>& discard) {
  const ordered_json answer =
      ask({{"type", "records"}, {"run", run}, {"set", set}, {"discard", discard}}, "records",
          timeouts_.answer_s);
  std::vector<ordered_json> records;
  for (const ordered_json& record : array(answer, "records")) {
    check_record(record, run, set);
    if (record["time"]["samples"].size() > static_cast<std::size_t>(measured_)) {
      garbage("at most the samples that were measured", record["name"]);
    }
    if (records.size() >= prepared_.size() || record["key"] != prepared_[records.size()]) {
      garbage("a record of each point that was prepared, in their order", record["key"]);
    }
    records.push_back(record);
  }
  if (records.size() != prepared_.size()) {
    garbage("a record of each point that was prepared", records.size());
  }
  return records;
}

void GateWorker::quit(double timeout_s) {
  try {
    child_.write_line(R"({"type":"quit"})", kFarewellSeconds);
  } catch (const ChildFailure&) {
    // It is ended in any case.
  }
  child_.finish(timeout_s);
}

}  // namespace deformer
