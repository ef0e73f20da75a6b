#include "harness/gate_count.hpp"

#include <algorithm>
#include <array>
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

/// A point as it would be with one thread, in no order.
nlohmann::json on_one_thread(const ordered_json& point) {
  nlohmann::json changed = point;
  changed["threads"] = 1;
  changed.erase("instances");
  return changed;
}

ordered_json failed(const std::string& status, const std::string& reason) {
  return {{"by", "callgrind"}, {"isa", nullptr},          {"threads", 1},     {"status", status},
          {"reason", reason},  {"instructions", nullptr}, {"ranges", nullptr}};
}

std::string status_of(Side side, Kind kind) {
  switch (kind) {
    case Kind::old_protocol:
      return "incomparable";
    case Kind::hung:
      return "missing";  // a longer --max-time may do
    case Kind::crashed:
    case Kind::refused:
      return side == Side::base ? "missing" : "invalid";
    case Kind::garbage:
    case Kind::clock:
    case Kind::changed:
      return "invalid";
  }
  return "invalid";
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

class SideCount {
 public:
  SideCount(Side side, const PairSetting& setting, const GateCountOptions& options)
      : side_(side),
        program_(side == Side::base ? setting.base : setting.head),
        arguments_(with_one_thread(setting.arguments)),
        timeouts_(setting.timeouts),
        options_(options) {}

  /// What it would count. @throws WorkerFailure.
  std::vector<WorkerGroupPlan> plan() {
    GateWorker worker(program_, timeouts_);
    if (std::ranges::find(worker.hello().counts, "callgrind") == worker.hello().counts.end()) {
      throw WorkerFailure(Kind::old_protocol,
                          "it is older, or was built without valgrind's header: it can't count");
    }
    std::vector<WorkerGroupPlan> groups = worker.plan(arguments_);
    worker.quit();
    return groups;
  }

  /// By key. @throws WorkerFailure.
  std::map<std::string, ordered_json> count(const WorkerGroupPlan& group) {
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

  Side side() const { return side_; }

 private:
  static std::map<std::string, ordered_json> read(const WorkerCounted& counted,
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

  Side side_;
  std::string program_;
  std::vector<std::string> arguments_;
  WorkerTimeouts timeouts_;
  const GateCountOptions& options_;
};

class GateCount {
 public:
  GateCount(const PairSetting& setting, const PairPlans& plans, const GateCountOptions& options)
      : plans_(plans),
        options_(options),
        sides_{SideCount(Side::base, setting, options), SideCount(Side::head, setting, options)} {}

  GateCounts count() {
    for (SideCount& side : sides_) {
      if (!failed_) {
        count_side(side);
      }
    }
    return std::move(counts_);
  }

 private:
  const std::vector<WorkerGroupPlan>& planned(Side side) const {
    return side == Side::base ? plans_.base : plans_.head;
  }

  void count_side(SideCount& side) {
    std::vector<WorkerGroupPlan> groups;
    try {
      groups = side.plan();
    } catch (const WorkerFailure& failure) {
      fail(side.side(), failure);
      failed_ = true;  // the other side's counts would stand alone
      return;
    }
    for (const WorkerGroupPlan& group : groups) {
      count_group(side, group);
    }
    // A point that is in no group with one thread has no count, and must not pass for one.
    for_each_point(side.side(), [&](const WorkerPoint& point) {
      counts_.try_emplace({side.side(), point.key},
                          failed("missing", "the program plans no such point with one thread"));
    });
  }

  void count_group(SideCount& side, const WorkerGroupPlan& group) {
    const bool any = std::ranges::any_of(
        group.points, [](const WorkerPoint& point) { return !point.skip.has_value(); });
    if (!any) {
      return;
    }
    if (side.side() == Side::head && base_failed(group)) {
      for (const WorkerPoint& counted : group.points) {
        set(side.side(), counted, failed("missing", "base gave no count to compare with"));
      }
      return;
    }
    options_.step(
        fmt::format("{}: counting instructions of {}", group.name, side_name(side.side())));
    std::map<std::string, ordered_json> found;
    ordered_json otherwise;
    try {
      found = side.count(group);
      otherwise = failed("invalid", "the program did not count this point");
    } catch (const WorkerFailure& failure) {
      otherwise = failed(status_of(side.side(), failure.kind()), failure.what());
    }
    for (const WorkerPoint& counted : group.points) {
      const auto own = found.find(counted.key);
      set(side.side(), counted, own == found.end() ? otherwise : own->second);
    }
  }

  /// Of all planned points that are this one with one thread.
  void set(Side side, const WorkerPoint& counted, const ordered_json& count) {
    for_each_point(side, [&](const WorkerPoint& point) {
      if (on_one_thread(point.point) == nlohmann::json(counted.point)) {
        counts_[{side, point.key}] = count;
      }
    });
  }

  /// Head is not to blame for what base, or valgrind, can't do either.
  bool base_failed(const WorkerGroupPlan& group) const {
    bool any = false;
    for_each_point(Side::base, [&](const WorkerPoint& point) {
      const bool here = std::ranges::any_of(group.points, [&](const WorkerPoint& counted) {
        return on_one_thread(point.point) == nlohmann::json(counted.point);
      });
      any = any || (here && counts_.at({Side::base, point.key})["status"] != "ok");
    });
    return any;
  }

  void fail(Side side, const WorkerFailure& failure) {
    for_each_point(side, [&](const WorkerPoint& point) {
      counts_[{side, point.key}] = failed(status_of(side, failure.kind()), failure.what());
    });
  }

  template <typename Work>
  void for_each_point(Side side, const Work& work) const {
    for (const WorkerGroupPlan& group : planned(side)) {
      for (const WorkerPoint& point : group.points) {
        if (!point.skip) {
          work(point);
        }
      }
    }
  }

  const PairPlans& plans_;
  const GateCountOptions& options_;
  std::array<SideCount, 2> sides_;
  GateCounts counts_;
  bool failed_ = false;
};

}  // namespace

GateCounts count_gate(const PairSetting& setting, const PairPlans& plans,
                      const GateCountOptions& options) {
  return GateCount(setting, plans, options).count();
}

}  // namespace deformer
