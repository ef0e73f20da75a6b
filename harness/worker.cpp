#include "harness/worker.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include <fmt/format.h>

#include "harness/clock_watch.hpp"
#include "harness/record.hpp"
#include "harness/worker_count.hpp"
#include "harness/worker_group.hpp"
#include "harness/worker_protocol.hpp"
#include "model/error.hpp"
#include "profilers/callgrind.hpp"
#include "records/line_parser.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestRequest = std::size_t{1} << 20;

/// Lines from a descriptor. A line that is too long is read to its end and given as empty.
class RequestReader {
 public:
  explicit RequestReader(int descriptor) : descriptor_(descriptor) {}

  /// nullopt at the end of the input.
  std::optional<std::string> next() {
    std::string line;
    bool too_long = false;
    while (true) {
      const std::size_t end = buffer_.find('\n');
      const std::size_t taken = std::min(end, buffer_.size());
      too_long = too_long || line.size() + taken > kLongestRequest;
      line = too_long ? "" : line + buffer_.substr(0, taken);
      if (end != std::string::npos) {
        buffer_.erase(0, end + 1);
        return line;
      }
      buffer_.clear();
      if (!fill()) {
        return line.empty() ? std::nullopt : std::optional(line);
      }
    }
  }

 private:
  bool fill() {
    char piece[65536];
    ssize_t count = 0;
    do {
      count = ::read(descriptor_, piece, sizeof piece);
    } while (count < 0 && errno == EINTR);
    buffer_.append(piece, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return count > 0;
  }

  int descriptor_;
  std::string buffer_;
};

bool write_line(int descriptor, const ordered_json& answer) {
  std::string text = to_line(answer) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

ordered_json parse_request(const std::string& line) {
  ordered_json request;
  try {
    request = parse_object(line);
  } catch (const NotAnObject&) {
    // Said below.
  }
  if (!request.is_object() || !request.contains("type") || !request["type"].is_string()) {
    throw BadInput(
        fmt::format("expected a request: one JSON object a line with a \"type\", found '{}'",
                    line.substr(0, 60)));
  }
  return request;
}

/// A member of a request, or what stands in for it. @throws BadInput when it is of another type.
template <typename T>
T member(const ordered_json& request, const char* name, std::optional<T> otherwise = {}) {
  const auto found = request.find(name);
  if (found == request.end() || found->is_null()) {
    if (otherwise) {
      return *otherwise;
    }
    throw BadInput(fmt::format("{}: expected in the request, found nothing", name));
  }
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw BadInput(
        fmt::format("{}: expected another type, found {}", name, to_line(*found).substr(0, 60)));
  }
}

class Worker {
 public:
  Worker(const BuildInfo& build, const WorkerPlanner& planner)
      : build_(build), planner_(planner), machine_(this_machine()) {}

  ordered_json hello() const {
    return {{"type", "hello"},
            {"protocol", kWorkerProtocol},
            {"oldest", kOldestWorkerProtocol},
            {"version", build_.version},
            {"revision", build_.revision},
            {"build", build_.build},
            {"flags", build_.flags},
            {"machine", machine_json(machine_)},
            {"pid", static_cast<std::int64_t>(getpid())},
            {"clock", clock_json(read_clocks())},
            {"counts",
             callgrind_known() ? ordered_json{"callgrind", "counters"} : ordered_json{"counters"}}};
  }

  ordered_json answer(const ordered_json& request) {
    const std::string type = request["type"].get<std::string>();
    if (type == "plan") return answer_to("planned", request, plan(request));
    if (type == "prepare") return answer_to("prepared", request, prepare(request));
    if (type == "measure") return answer_to("measured", request, measure(request));
    if (type == "count") return answer_to("counted", request, count(request));
    if (type == "counters") return answer_to("counters", request, counters());
    if (type == "records") return answer_to("records", request, records(request));
    throw BadInput(fmt::format(
        "type: expected plan, prepare, measure, counters, count, records or quit, found '{}'",
        type));
  }

  static ordered_json answer_to(const char* type, const ordered_json& request,
                                ordered_json content) {
    ordered_json answer{{"type", type}};
    const auto id = request.find("id");
    answer["id"] = id == request.end() ? ordered_json(nullptr) : *id;
    answer.update(content);
    return answer;
  }

 private:
  ordered_json plan(const ordered_json& request) {
    const auto arguments = member<std::vector<std::string>>(request, "arguments");
    std::unique_ptr<WorkerPlan> next = planner_(arguments);
    group_.reset();
    shelf_.reset();
    plan_ = std::move(next);
    shelf_ = std::make_unique<WorkerShelf>(*plan_, machine_, build_.build);
    ordered_json groups = ordered_json::array();
    for (const PlannedGroup& group : plan_->groups) {
      groups.push_back(planned_group(group));
    }
    return {{"groups", std::move(groups)}};
  }

  ordered_json planned_group(const PlannedGroup& group) const {
    const std::string common = common_options(plan_->options, plan_->options.measure);
    ordered_json points = ordered_json::array();
    for (const PlannedPoint& planned : group.points) {
      points.push_back({{"key", planned.key},
                        {"name", planned.name},
                        {"point", point_json(planned.point)},
                        {"skip", planned.skip == Skip::no ? ordered_json(nullptr)
                                                          : ordered_json(planned.reason)},
                        {"reproduce", reproduce_command(plan_->spec.models[group.model],
                                                        plan_->spec, planned.point, common)}});
    }
    return {{"group", group.key}, {"name", group_name(group)}, {"points", std::move(points)}};
  }

  ordered_json prepare(const ordered_json& request) {
    if (plan_ == nullptr) {
      throw BadInput("prepare: expected a plan before it, found none");
    }
    const auto key = member<std::string>(request, "group");
    const bool parity = member<bool>(request, "parity", true);
    const auto text = member<std::string>(request, "inject", "");
    const auto group = std::ranges::find(plan_->groups, key, &PlannedGroup::key);
    if (group == plan_->groups.end()) {
      throw BadInput(fmt::format("group: expected one of the plan, found '{}'", key));
    }
    Injection injection;
    if (!text.empty()) {
      injection = parse_injection(text);
      check_injection(injection, group->config);
      if (plan_->options.detail != Detail::op) {
        throw BadInput("inject: expected a plan with --detail op, found less");
      }
    }
    group_.reset();  // its sessions go before others come
    group_ = std::make_unique<WorkerGroup>(*shelf_, *group, parity, injection);
    return group_->prepared_json();
  }

  WorkerGroup& prepared(const char* what) {
    if (group_ == nullptr) {
      throw BadInput(fmt::format("{}: expected a group prepared before it, found none", what));
    }
    return *group_;
  }

  ordered_json measure(const ordered_json& request) {
    const auto rounds = member<std::int64_t>(request, "rounds");
    if (rounds < 1 || rounds > kMostRoundsAsked) {
      throw BadInput(fmt::format("rounds: expected 1 to {}, found {}", kMostRoundsAsked, rounds));
    }
    ordered_json answer = prepared("measure").measure(rounds);
    answer["clock"] = clock_json(read_clocks());
    return answer;
  }

  static ordered_json counters() {
    const CounterStatus event = instruction_counter();
    return {
        {"source", event.source.empty() ? ordered_json(nullptr) : ordered_json(event.source)},
        {"missing", event.source.empty() ? ordered_json(event.missing) : ordered_json(nullptr)}};
  }

  ordered_json count(const ordered_json& request) {
    const auto by = member<std::string>(request, "by", "callgrind");
    if (by == "callgrind") {
      return prepared("count").count();
    }
    if (by != "counters") {
      throw BadInput(fmt::format("by: expected callgrind or counters, found '{}'", by));
    }
    const auto forwards = member<std::int64_t>(request, "forwards", 1);
    if (forwards < 1 || forwards > kMostForwardsCounted) {
      throw BadInput(
          fmt::format("forwards: expected 1 to {}, found {}", kMostForwardsCounted, forwards));
    }
    return prepared("count").count_by_counters(forwards);
  }

  ordered_json records(const ordered_json& request) {
    const auto run = member<std::string>(request, "run");
    const auto set = member<std::string>(request, "set");
    const auto discard =
        member<std::vector<std::int64_t>>(request, "discard", std::vector<std::int64_t>{});
    ordered_json answer = prepared("records").records(run, set, discard);
    group_.reset();
    return answer;
  }

  BuildInfo build_;
  const WorkerPlanner& planner_;
  Machine machine_;
  std::unique_ptr<WorkerPlan> plan_;
  std::unique_ptr<WorkerShelf> shelf_;
  std::unique_ptr<WorkerGroup> group_;
};

/// The answer to one line; `quit` is told by nullopt.
std::optional<ordered_json> answer_line(Worker& worker, const std::string& line) {
  ordered_json request;
  try {
    request = parse_request(line);
    if (request["type"] == "quit") {
      return std::nullopt;
    }
    return worker.answer(request);
  } catch (const std::exception& error) {
    if (!request.is_object()) {
      request = ordered_json::object();
    }
    return Worker::answer_to("error", request, {{"message", error.what()}});
  }
}

}  // namespace

bool serve_worker(int input, int output, const BuildInfo& build, const WorkerPlanner& planner) {
  Worker worker(build, planner);
  if (!write_line(output, worker.hello())) {
    return false;
  }
  RequestReader reader(input);
  while (const auto line = reader.next()) {
    const std::optional<ordered_json> answer = answer_line(worker, *line);
    if (!answer) {
      break;
    }
    if (!write_line(output, *answer)) {
      return false;
    }
  }
  return write_line(output, {{"type", "bye"}});
}

}  // namespace deformer
