#include "harness/side_count.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "harness/callgrind_output.hpp"
#include "harness/worker_protocol.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;
using Kind = WorkerFailure::Kind;

constexpr double kFinalDumpSeconds = 10;

/// A folder that goes away again.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "deformer-count-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw BadInput(fmt::format("{}: expected to make a folder for callgrind's output, found: {}",
                                 name, std::generic_category().message(errno)));
    }
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The options of the points, with one thread and one instance.
std::vector<std::string> with_one_thread(const std::vector<std::string>& arguments) {
  std::vector<std::string> changed;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--threads" || arguments[i] == "--instances") {
      ++i;
    } else {
      changed.push_back(arguments[i]);
    }
  }
  changed.insert(changed.end(), {"--threads", "1"});
  return changed;
}

/// What callgrind wrote of point number `index`. @throws WorkerFailure when that is no count.
ordered_json counted_json(const WorkerCounted& counted, std::size_t index,
                          const CallgrindOutput& output) {
  const auto part = [&](int leaf) {
    const auto found = output.instructions.find(count_label(index, leaf));
    return found == output.instructions.end() ? 0 : found->second;
  };
  const WorkerCounted::Point& point = counted.points[index];
  double total = part(-1);
  ordered_json ranges = ordered_json::array();
  for (std::size_t leaf = 0; leaf < point.ranges.size(); ++leaf) {
    const double instructions = part(static_cast<int>(leaf));
    total += instructions;
    ranges.push_back({{"path", point.ranges[leaf]}, {"instructions", instructions}});
  }
  if (total <= 0) {
    throw WorkerFailure(Kind::garbage,
                        "expected instructions of a forward, found that callgrind "
                        "counted none");
  }
  return {{"by", output.creator},
          {"isa", counted.isa},
          {"threads", 1},
          {"status", "ok"},
          {"reason", nullptr},
          {"instructions", total},
          {"ranges", std::move(ranges)}};
}

std::map<std::string, ordered_json> read(const WorkerCounted& counted,
                                         const std::filesystem::path& output) {
  std::map<std::string, ordered_json> found;
  try {
    const CallgrindOutput parts = read_callgrind_output(output);
    for (std::size_t i = 0; i < counted.points.size(); ++i) {
      found[counted.points[i].key] = counted_json(counted, i, parts);
    }
  } catch (const BadInput& error) {
    throw WorkerFailure(Kind::garbage, error.what());
  }
  return found;
}

/// What the processes counted of one point. @throws WorkerFailure where they say different things.
ordered_json counted_json(const std::vector<WorkerCounted>& processes, std::size_t index) {
  const WorkerCounted& first = processes.front();
  std::vector<double> counts;
  for (const WorkerCounted& counted : processes) {
    if (counted.by != first.by || counted.isa != first.isa || counted.engines != first.engines ||
        counted.points.size() != first.points.size() ||
        counted.points[index].key != first.points[index].key) {
      throw WorkerFailure(Kind::garbage,
                          "expected each of its processes to count the same points alike, found "
                          "that they did not");
    }
    counts.push_back(median(counted.points[index].forwards).value_or(0));
  }
  const WorkerCounted::Point& point = first.points[index];
  ordered_json ranges = ordered_json::array();
  for (std::size_t leaf = 0; leaf < point.of_ranges.size(); ++leaf) {
    ranges.push_back({{"path", point.ranges[leaf]}, {"instructions", point.of_ranges[leaf]}});
  }
  return {{"by", first.by},
          {"isa", first.isa},
          {"engines", first.engines},
          {"threads", 1},
          {"status", "ok"},
          {"reason", nullptr},
          {"instructions", median(counts).value_or(0)},
          {"low", std::ranges::min(counts)},
          {"high", std::ranges::max(counts)},
          {"ranges", std::move(ranges)}};
}

}  // namespace

bool can_count(const WorkerHello& hello, CountBy by) {
  return std::ranges::find(hello.counts, count_by_name(by)) != hello.counts.end();
}

class SideCount::Deadline {
 public:
  Deadline(double limit_s, double longest_answer_s)
      : begin_ns_(now_ns()), limit_s_(limit_s), longest_answer_s_(longest_answer_s) {}
  double left_s() const {
    const double left_s = limit_s_ - static_cast<double>(now_ns() - begin_ns_) * 1e-9;
    return std::clamp(left_s, 0.001, longest_answer_s_);
  }
  WorkerTimeouts timeouts() const { return {.start_s = left_s(), .answer_s = left_s()}; }

 private:
  std::int64_t begin_ns_;
  double limit_s_, longest_answer_s_;
};

SideCount::SideCount(Side side, const PairSetting& setting, const GateCountOptions& options)
    : side_(side),
      program_(side == Side::base ? setting.base : setting.head),
      arguments_(with_one_thread(setting.arguments)),
      timeouts_(setting.timeouts),
      options_(options) {}

std::vector<WorkerGroupPlan> SideCount::plan() {
  GateWorker worker(program_, timeouts_);
  if (!can_count(worker.hello(), options_.by)) {
    throw WorkerFailure(Kind::old_protocol,
                        options_.by == CountBy::callgrind
                            ? "it is older, or was built without valgrind's header: it can't count"
                            : "it is older: it can't count by counters");
  }
  if (options_.by == CountBy::counters) {
    const WorkerCounter counter = worker.counter();
    if (counter.source.empty()) {
      throw WorkerFailure(Kind::refused, "no counters here: " + counter.missing);
    }
  }
  std::vector<WorkerGroupPlan> groups = worker.plan(arguments_);
  worker.quit();
  return groups;
}

void SideCount::prepare(GateWorker& worker, const WorkerGroupPlan& group,
                        const Deadline& deadline) {
  worker.limit_answers(deadline.left_s());
  (void)worker.plan(arguments_);
  worker.limit_answers(deadline.left_s());
  (void)worker.prepare(group.key, false, "");
  worker.limit_answers(deadline.left_s());
}

std::map<std::string, ordered_json> SideCount::by_callgrind(const WorkerGroupPlan& group,
                                                            const Deadline& deadline) {
  const Folder folder;
  const std::filesystem::path output = folder.path() / "callgrind.out";
  GateWorker worker(program_, deadline.timeouts(), callgrind_launcher(options_.valgrind, output));
  prepare(worker, group, deadline);
  const WorkerCounted counted = worker.count();
  worker.quit(kFinalDumpSeconds);
  return read(counted, output);
}

std::map<std::string, ordered_json> SideCount::by_counters(const WorkerGroupPlan& group,
                                                           const Deadline& deadline) {
  std::vector<WorkerCounted> processes;
  for (int process = 0; process < kCountingProcesses; ++process) {
    GateWorker worker(program_, deadline.timeouts());
    prepare(worker, group, deadline);
    processes.push_back(worker.count_by_counters(kCountedForwards));
    worker.quit();
  }
  std::map<std::string, ordered_json> found;
  for (std::size_t i = 0; i < processes.front().points.size(); ++i) {
    found[processes.front().points[i].key] = counted_json(processes, i);
  }
  return found;
}

std::map<std::string, ordered_json> SideCount::count(const WorkerGroupPlan& group) {
  const double limit_s = options_.max_time_s * static_cast<double>(group.points.size());
  const Deadline deadline(limit_s, timeouts_.answer_s);
  try {
    return options_.by == CountBy::callgrind ? by_callgrind(group, deadline)
                                             : by_counters(group, deadline);
  } catch (const WorkerFailure& failure) {
    if (failure.kind() != Kind::hung) {
      throw;
    }
    throw WorkerFailure(Kind::hung,
                        fmt::format("not counted within {:.3g} s (--max-time {:.3g} a point); "
                                    "give more time or fewer points",
                                    limit_s, options_.max_time_s));
  }
}

}  // namespace deformer
