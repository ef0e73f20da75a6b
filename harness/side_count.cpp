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

}  // namespace

SideCount::SideCount(Side side, const PairSetting& setting, const GateCountOptions& options)
    : side_(side),
      program_(side == Side::base ? setting.base : setting.head),
      arguments_(with_one_thread(setting.arguments)),
      timeouts_(setting.timeouts),
      options_(options) {}

std::vector<WorkerGroupPlan> SideCount::plan() {
  GateWorker worker(program_, timeouts_);
  if (std::ranges::find(worker.hello().counts, "callgrind") == worker.hello().counts.end()) {
    throw WorkerFailure(Kind::old_protocol,
                        "it is older, or was built without valgrind's header: it can't count");
  }
  std::vector<WorkerGroupPlan> groups = worker.plan(arguments_);
  worker.quit();
  return groups;
}

std::map<std::string, ordered_json> SideCount::count(const WorkerGroupPlan& group) {
  const double limit_s = options_.max_time_s * static_cast<double>(group.points.size());
  const std::int64_t begin_ns = now_ns();
  const auto left_s = [&] {
    const double left = limit_s - static_cast<double>(now_ns() - begin_ns) * 1e-9;
    return std::clamp(left, 0.001, timeouts_.answer_s);
  };
  const Folder folder;
  const std::filesystem::path output = folder.path() / "callgrind.out";
  try {
    GateWorker worker(program_, {.start_s = left_s(), .answer_s = left_s()},
                      callgrind_launcher(options_.valgrind, output));
    worker.limit_answers(left_s());
    (void)worker.plan(arguments_);
    worker.limit_answers(left_s());
    (void)worker.prepare(group.key, false, "");
    worker.limit_answers(left_s());
    const WorkerCounted counted = worker.count();
    worker.quit(kFinalDumpSeconds);
    return read(counted, output);
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
