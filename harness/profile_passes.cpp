#include "harness/profile_passes.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "backends/registry.hpp"
#include "harness/interrupt.hpp"
#include "harness/pass_runs.hpp"
#include "model/error.hpp"
#include "profilers/allocations.hpp"
#include "profilers/clock.hpp"
#include "profilers/energy.hpp"
#include "profilers/memory_sampler.hpp"
#include "profilers/nvtx_ranges.hpp"
#include "profilers/or_null.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Counts operator new: between the opening and closing of what is opened, and of each leaf while
/// thread 0 is in it, whoever asks.
class AllocationWatcher final : public RangeWatcher {
 public:
  explicit AllocationWatcher(const RangeTree& tree)
      : tree_(tree),
        calls_(static_cast<std::size_t>(tree.size())),
        told_(static_cast<std::size_t>(tree.size())) {}

  void opened(int range) override { add(range, -allocation_count.calls.load()); }
  void closed(int range) override {
    leave();  // the leaf that a cursor began behind its last one
    add(range, allocation_count.calls.load());
  }
  void began(int thread, int leaf) override {
    if (thread != 0) {
      return;
    }
    leave();
    if (leaf < tree_.leaves()) {
      leaf_ = tree_.leaf_range(leaf);
      add(leaf_, -allocation_count.calls.load());
    }
  }
  void ended(int, int) override {}

  /// Null where nothing is counted or the backend doesn't walk this range.
  ordered_json calls(int range) const {
    if (!allocation_count.counted.load()) {
      return nullptr;
    }
    const auto at = static_cast<std::size_t>(range);
    if (tree_[range].leaf || told_[at]) {
      return told_[at] ? ordered_json(calls_[at]) : ordered_json(nullptr);
    }
    std::int64_t sum = 0;
    for (int leaf = tree_[range].first_leaf; leaf < tree_[range].last_leaf; ++leaf) {
      const auto below = static_cast<std::size_t>(tree_.leaf_range(leaf));
      if (!told_[below]) {
        return nullptr;
      }
      sum += calls_[below];
    }
    return sum;
  }

 private:
  void add(int range, std::int64_t calls) {
    calls_[static_cast<std::size_t>(range)] += calls;
    told_[static_cast<std::size_t>(range)] = true;
  }
  void leave() {
    if (leaf_ >= 0) {
      add(std::exchange(leaf_, -1), allocation_count.calls.load());
    }
  }

  const RangeTree& tree_;
  std::vector<std::int64_t> calls_;
  std::vector<char> told_;
  int leaf_ = -1;  ///< that thread 0 is in
};

/// Into the rows of ranges, phases and operations.
void add_allocations(const Look& look, const AllocationWatcher& watcher, ordered_json& record) {
  const RangeTree& tree = look.session->ranges()->tree();
  std::map<std::string, ordered_json> by_path, by_operation;
  std::size_t phase = 0;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    const PlanRange& range = look.ranges[i];
    const ordered_json calls = watcher.calls(static_cast<int>(i));
    by_path[tree.path(static_cast<int>(i))] = calls;
    if (range.level == Detail::phase && phase < record["phases"].size()) {
      record["phases"][phase++]["allocations"] = calls;
    } else if (range.level == Detail::op) {
      ordered_json& sum = by_operation.try_emplace(range.name, 0).first->second;
      sum = sum.is_null() || calls.is_null()
                ? ordered_json(nullptr)
                : ordered_json(sum.get<std::int64_t>() + calls.get<std::int64_t>());
    }
  }
  const auto put = [](ordered_json& rows, const char* name, const auto& found) {
    for (std::size_t i = 0; rows.is_array() && i < rows.size(); ++i) {
      const auto calls = found.find(rows[i].at(name).template get<std::string>());
      rows[i]["allocations"] = calls == found.end() ? ordered_json(nullptr) : calls->second;
    }
  };
  put(record["ranges"], "path", by_path);
  put(record["operations"], "name", by_operation);
}

ordered_json sampled_json(Look& look, const std::string& program) {
  constexpr std::int64_t kPeriodUs = 1000;
  MemorySampler sampler(program, kPeriodUs);
  const int forwards = forwards_for(look, kPassNs);
  const std::vector<MemorySample> samples = sampler.stop();
  if (samples.empty()) {
    return {{"rss_peak_bytes", nullptr}, {"minor_faults", nullptr},
            {"major_faults", nullptr},   {"samples", 0},
            {"forwards", forwards},      {"missing", sampler.missing()}};
  }
  const auto highest = std::ranges::max_element(samples, {}, &MemorySample::rss_bytes);
  return {{"rss_peak_bytes", highest->rss_bytes},
          {"minor_faults", samples.back().minor_faults - samples.front().minor_faults},
          {"major_faults", samples.back().major_faults - samples.front().major_faults},
          {"samples", samples.size()},
          {"forwards", forwards},
          {"missing", nullptr}};
}

}  // namespace

int forwards_for(Look& look, std::int64_t limit_ns, const std::function<void()>& each) {
  constexpr int kMostForwards = 2000;
  int count = 0;
  for (const std::int64_t end = now_ns() + limit_ns;
       count < 2 || (count < kMostForwards && now_ns() < end && !interrupted()); ++count) {
    look.forward();
    each();
  }
  return count;
}

void watch_memory(Look& look, const std::string& sampler, ordered_json& record) {
  const SessionMemory memory = look.session->memory();
  AllocationWatcher watcher(look.session->ranges()->tree());
  {
    const Watched watched(look, watcher);
    look.forward();
  }
  add_allocations(look, watcher, record);
  std::size_t phase = 0;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    if (look.ranges[i].level != Detail::phase || phase >= record["phases"].size()) {
      continue;
    }
    ordered_json& row = record["phases"][phase];
    row["arena_bytes"] = phase < memory.phase_bytes.size() ? ordered_json(memory.phase_bytes[phase])
                                                           : ordered_json(nullptr);
    ++phase;
  }
  record["memory"]["allocated_bytes"] =
      memory.allocated_bytes > 0 ? ordered_json(memory.allocated_bytes) : ordered_json(nullptr);
  record["memory"]["device_bytes"] = nullptr;
  record["memory"]["sampled"] =
      sampler.empty() ? ordered_json(nullptr) : sampled_json(look, sampler);
}

ordered_json kernels_json(Look& look, const Point& point) {
  if (require_backend(point.backend).info().device.empty()) {
    return nullptr;
  }
  ordered_json rows = ordered_json::array();
  try {
    for (const KernelTime& one : look.session->kernels(look.inputs)) {
      const auto phase = static_cast<std::size_t>(one.phase);
      rows.push_back({{"name", one.name},
                      {"phase", one.phase < 0 ? ordered_json(nullptr)
                                              : ordered_json(phase_name(look.plan.phases[phase]))},
                      {"count", one.count},
                      {"ns", one.ns}});
    }
  } catch (const Unavailable& error) {
    return {{"rows", nullptr}, {"missing", error.what()}};
  }
  return {{"rows", std::move(rows)}, {"missing", nullptr}};
}

ordered_json measure_energy(Look& look, const Point& point, double limit_s) {
  EnergyMeter meter;
  if (!meter.missing().empty()) {
    return {{"joules_per_example", nullptr},
            {"joules", nullptr},
            {"forwards", nullptr},
            {"source", nullptr},
            {"missing", meter.missing()}};
  }
  const auto before = meter.joules();
  const int forwards = forwards_for(look, static_cast<std::int64_t>(limit_s * 1e9));
  const auto after = meter.joules();
  const bool known = before && after;
  const double joules = known ? *after - *before : 0;
  return {{"joules_per_example",
           known ? ordered_json(joules / (forwards * static_cast<double>(point.batch)))
                 : ordered_json(nullptr)},
          {"joules", known ? ordered_json(joules) : ordered_json(nullptr)},
          {"forwards", forwards},
          {"source", meter.source()},
          {"missing", known ? ordered_json(nullptr) : ordered_json("the counter went away")}};
}

ordered_json run_under_nvtx(Look& look, const PlanCost& cost) {
  if (!nvtx_missing().empty()) {
    return {{"ns_per_range", nullptr}, {"missing", nvtx_missing()}};
  }
  std::vector<NvtxRange> ranges;
  for (const PlanRange& range : look.ranges) {
    const Cost& own = range_cost(cost, range);
    ranges.push_back({range.level == Detail::none ? "run" : std::string(to_string(range.level)),
                      range.layer, own.flops(), own.bytes_weights + own.bytes_activations});
  }
  const RangeLog& log = *look.session->ranges();
  NvtxWatcher watcher(log.tree(), ranges, log.threads());
  const Watched watched(look, watcher);
  for (int i = 0; i < 3; ++i) {
    look.forward();
  }
  return {{"ns_per_range", nvtx_ns_per_range()}, {"missing", nullptr}};
}

}  // namespace deformer
