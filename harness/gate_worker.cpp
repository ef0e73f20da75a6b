#include "harness/gate_worker.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "harness/worker_protocol.hpp"
#include "profilers/clock.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;
using Kind = WorkerFailure::Kind;

/// A worker that takes this many times as long as it said hangs.
constexpr double kPatience = 20;
constexpr double kFewestSeconds = 10;
constexpr double kFarewellSeconds = 2;
constexpr std::size_t kMostPoints = 1'000'000;  ///< of a sweep
constexpr double kLongestRoundNs = 1e13;

[[noreturn]] void garbage(const std::string& expected, const ordered_json& found) {
  throw WorkerFailure(
      Kind::garbage, fmt::format("expected {}, found {}", expected, to_line(found).substr(0, 100)));
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
  return member(object, name, &ordered_json::is_number_integer, "a whole number")
      .get<std::int64_t>();
}

/// Of an object that may be anything.
std::string text_or_empty(const ordered_json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

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
  (void)text(record, "key");
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
    answer = ordered_json::parse(line);
  } catch (const nlohmann::json::exception&) {
    throw WorkerFailure(Kind::garbage, fmt::format("expected an answer of the worker protocol, "
                                                   "found '{}'",
                                                   line.substr(0, 100)));
  }
  if (!answer.is_object() || text_or_empty(answer, "type").empty()) {
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
  std::set<std::string> keys;
  for (const ordered_json& json : array(answer, "groups")) {
    if (!json.is_object()) {
      garbage("a group, an object", json);
    }
    WorkerGroupPlan group{text(json, "group"), text(json, "name"), {}};
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
    records.push_back(record);
  }
  return records;
}

WorkerCounted GateWorker::count() {
  const ordered_json answer = ask({{"type", "count"}}, "counted", timeouts_.answer_s);
  WorkerCounted counted{text(answer, "isa"), {}};
  for (const ordered_json& json : array(answer, "points")) {
    if (!json.is_object()) {
      garbage("a point, an object", json);
    }
    WorkerCounted::Point point{text(json, "key"), {}};
    for (const ordered_json& path : array(json, "ranges")) {
      if (!path.is_string()) {
        garbage("a range's path, a string", path);
      }
      point.ranges.push_back(path.get<std::string>());
    }
    counted.points.push_back(std::move(point));
  }
  return counted;
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
