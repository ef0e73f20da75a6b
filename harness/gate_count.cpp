#include "harness/gate_count.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "harness/side_count.hpp"
#include "harness/worker_protocol.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;
using Kind = WorkerFailure::Kind;

/// A point as it would be with one thread, in no order.
nlohmann::json on_one_thread(const ordered_json& point) {
  nlohmann::json changed = point;
  changed["threads"] = 1;
  changed.erase("instances");
  return changed;
}

ordered_json failed(CountBy by, const std::string& status, const std::string& reason) {
  return {{"by", count_by_name(by)}, {"isa", nullptr},   {"threads", 1},
          {"status", status},        {"reason", reason}, {"instructions", nullptr},
          {"ranges", nullptr}};
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
      counts_.try_emplace(
          {side.side(), point.key},
          failed(options_.by, "missing", "the program plans no such point with one thread"));
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
        set(side.side(), counted,
            failed(options_.by, "missing", "base gave no count to compare with"));
      }
      return;
    }
    options_.step(
        fmt::format("{}: counting instructions of {}", group.name, side_name(side.side())));
    std::map<std::string, ordered_json> found;
    ordered_json otherwise;
    try {
      found = side.count(group);
      otherwise = failed(options_.by, "invalid", "the program did not count this point");
    } catch (const WorkerFailure& failure) {
      otherwise = failed(options_.by, status_of(side.side(), failure.kind()), failure.what());
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
      counts_[{side, point.key}] =
          failed(options_.by, status_of(side, failure.kind()), failure.what());
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

const char* count_by_name(CountBy by) {
  return by == CountBy::callgrind ? "callgrind" : "counters";
}

GateCounts count_gate(const PairSetting& setting, const PairPlans& plans,
                      const GateCountOptions& options) {
  return GateCount(setting, plans, options).count();
}

}  // namespace deformer
