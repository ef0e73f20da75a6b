#include "harness/profile_passes.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "backends/registry.hpp"
#include "harness/interrupt.hpp"
#include "model/error.hpp"
#include "profilers/allocations.hpp"
#include "profilers/clock.hpp"
#include "profilers/counters.hpp"
#include "profilers/energy.hpp"
#include "profilers/memory_sampler.hpp"
#include "profilers/nvtx_ranges.hpp"
#include "profilers/or_null.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Counted and modelled FLOPs should agree within this.
constexpr double kFlopTolerance = 0.02;
constexpr std::int64_t kPassNs = 300'000'000;  ///< what a pass lasts
constexpr int kMostForwards = 2000;

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

/// Forwards for about `limit_ns`, two at least.
int forwards_for(
    Look& look, std::int64_t limit_ns, const std::function<void()>& each = [] {}) {
  int count = 0;
  for (const std::int64_t end = now_ns() + limit_ns;
       count < 2 || (count < kMostForwards && now_ns() < end && !interrupted()); ++count) {
    look.forward();
    each();
  }
  return count;
}

/// Watches for the time of one scope.
class Watched {
 public:
  Watched(Look& look, RangeWatcher& watcher) : log_(*look.session->ranges()) {
    log_.set_watcher(&watcher);
  }
  ~Watched() { log_.set_watcher(nullptr); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

 private:
  RangeLog& log_;
};

std::vector<CounterEvent> events_of(const std::vector<CounterGroup>& groups) {
  std::vector<CounterEvent> events;
  for (const CounterGroup& group : groups) {
    for (const CounterEvent& event : group.events) {
      if (std::ranges::find(events, event.name, &CounterEvent::name) == events.end()) {
        events.push_back(event);
      }
    }
  }
  return events;
}

ordered_json events_json(const std::vector<CounterStatus>& events) {
  ordered_json rows = ordered_json::array();
  for (const CounterStatus& event : events) {
    rows.push_back({{"name", event.name},
                    {"unit", event.unit},
                    {"source", text_or_null(event.source)},
                    {"missing", text_or_null(event.missing)}});
  }
  return rows;
}

/// Counts of the leaves of one operation, or of all, of one forward.
class Counts {
 public:
  Counts(const CounterWatcher& watcher, const RangeTree& tree, int threads, int forwards)
      : watcher_(watcher), tree_(tree), threads_(threads), forwards_(forwards) {}

  double of(std::size_t event, const std::string& operation, int only_thread = -1) const {
    double sum = 0;
    for (int thread = 0; thread < threads_; ++thread) {
      for (int leaf = 0; leaf < tree_.leaves(); ++leaf) {
        const bool wanted =
            (operation.empty() || tree_[tree_.leaf_range(leaf)].name == operation) &&
            (only_thread < 0 || thread == only_thread);
        sum += wanted ? static_cast<double>(watcher_.count(thread, leaf, event)) : 0;
      }
    }
    return sum / forwards_;
  }

 private:
  const CounterWatcher& watcher_;
  const RangeTree& tree_;
  int threads_;
  double forwards_;
};

std::vector<LeafCounts> leaf_counts(const CounterWatcher& watcher, int leaves, int threads,
                                    int forwards) {
  std::vector<LeafCounts> found;
  for (std::size_t event = 0; event < watcher.events().size(); ++event) {
    const CounterStatus& status = watcher.events()[event];
    if (status.source.empty()) {
      continue;
    }
    LeafCounts& own = found.emplace_back();
    own.name = status.unit.empty() ? status.name : status.name + ", " + status.unit;
    for (int leaf = 0; leaf < leaves; ++leaf) {
      double sum = 0;
      for (int thread = 0; thread < threads; ++thread) {
        sum += static_cast<double>(watcher.count(thread, leaf, event));
      }
      own.of_leaf.push_back(sum / forwards);
    }
  }
  return found;
}

ordered_json values_json(const std::vector<CounterStatus>& events, const Counts& counts,
                         const std::string& operation, int thread = -1) {
  ordered_json values = ordered_json::object();
  for (std::size_t event = 0; event < events.size(); ++event) {
    values[events[event].name] = events[event].source.empty()
                                     ? ordered_json(nullptr)
                                     : ordered_json(counts.of(event, operation, thread));
  }
  return values;
}

ordered_json metrics_json(const std::vector<CounterGroup>& groups, const ordered_json& values,
                          double elapsed_ns, int threads) {
  const auto value = [&](std::string_view name) -> std::optional<double> {
    if (name == "elapsed_ns") {
      return elapsed_ns;
    }
    if (name == "task_time_ns") {
      return elapsed_ns * threads;
    }
    const auto found = values.find(std::string(name));
    return found == values.end() || found->is_null() ? std::nullopt
                                                     : std::optional(found->get<double>());
  };
  ordered_json metrics = ordered_json::object();
  for (const CounterGroup& group : groups) {
    for (const CounterMetric& metric : group.metrics) {
      metrics[metric.name] = {{"value", or_null(evaluate(metric.formula, value))},
                              {"unit", metric.unit}};
    }
  }
  return metrics;
}

/// The counted FLOPs against GEMM, attention and element-wise work of the cost model.
ordered_json flops_json(const std::vector<CounterStatus>& events, const Counts& counts,
                        const PlanCost& cost) {
  const auto modelled = static_cast<double>(cost.total.flops() + cost.total.flops_elementwise);
  const auto found = std::ranges::find(events, "flops_f32", &CounterStatus::name);
  if (found == events.end() || found->source.empty()) {
    return {{"counted", nullptr},
            {"modelled", modelled},
            {"difference", nullptr},
            {"flagged", nullptr},
            {"reason", found == events.end() ? "not asked for: --counters flops" : found->missing}};
  }
  const double counted = counts.of(static_cast<std::size_t>(found - events.begin()), "");
  const double difference = counted / modelled - 1;
  return {{"counted", counted},
          {"modelled", modelled},
          {"difference", difference},
          {"flagged", std::abs(difference) > kFlopTolerance},
          {"reason", nullptr}};
}

std::vector<std::string> operations_of(const Look& look) {
  std::vector<std::string> names;
  for (const PlanRange& range : look.ranges) {
    if (range.level == Detail::op && std::ranges::find(names, range.name) == names.end()) {
      names.push_back(range.name);
    }
  }
  return names;
}

/// Mean of the runs that were counted, the cost of counting included.
double operation_ns(const Look& look, const RangeSums& sums, const std::string& name) {
  double sum_ns = 0;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    if (look.ranges[i].level == Detail::op && (name.empty() || look.ranges[i].name == name)) {
      sum_ns += sums.elapsed_ns(static_cast<int>(i));
    }
  }
  return sum_ns / static_cast<double>(std::max<std::int64_t>(sums.runs(), 1));
}

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

ordered_json count_operations(Look& look, const PlanCost& cost,
                              const std::vector<CounterGroup>& groups, const Point& point,
                              std::vector<LeafCounts>& by_leaf) {
  const RangeLog& log = *look.session->ranges();
  CounterWatcher watcher(try_counters(events_of(groups)), log.tree().leaves(), log.threads());
  RangeSums sums(log);
  int forwards = 0;
  {
    const Watched watched(look, watcher);
    look.forward();  // the threads make their counters
    watcher.clear();
    forwards = forwards_for(look, kPassNs, [&] { sums.add(log); });
    watcher.finish();
    look.forward();
  }
  watcher.drop_refused();
  const Counts counts(watcher, log.tree(), log.threads(), forwards);
  ordered_json json{{"events", events_json(watcher.events())},
                    {"multiplexed", watcher.multiplexed()},
                    {"trouble", text_or_null(watcher.trouble())},
                    {"forwards", forwards}};
  json["total"] = values_json(watcher.events(), counts, "");
  json["metrics"] =
      metrics_json(groups, json["total"], operation_ns(look, sums, ""), point.threads);
  json["threads"] = ordered_json::array();
  for (int thread = 0; thread < log.threads(); ++thread) {
    json["threads"].push_back(values_json(watcher.events(), counts, "", thread));
  }
  json["operations"] = ordered_json::array();
  for (const std::string& name : operations_of(look)) {
    ordered_json values = values_json(watcher.events(), counts, name);
    ordered_json metrics =
        metrics_json(groups, values, operation_ns(look, sums, name), point.threads);
    json["operations"].push_back(
        {{"name", name}, {"values", std::move(values)}, {"metrics", std::move(metrics)}});
  }
  json["flops"] = flops_json(watcher.events(), counts, cost);
  by_leaf = leaf_counts(watcher, log.tree().leaves(), log.threads(), forwards);
  return json;
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

namespace {

/// Tracks of what is known of a run range by range: they end with it.
void trace_counters(const Look& look, const PlanCost& cost, const std::vector<LeafCounts>& counts,
                    int process, Trace& trace) {
  const RangeLog& log = *look.session->ranges();
  const std::vector<std::int64_t> arena = look.session->memory().phase_bytes;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    const PlanRange& range = look.ranges[i];
    const int at = static_cast<int>(i);
    if (range.level == Detail::op && log.elapsed_ns(at) > 0) {
      trace.add_counter(process, "GFLOP/s", log.start_ns(at),
                        static_cast<double>(range_cost(cost, range).flops()) /
                            static_cast<double>(log.elapsed_ns(at)));
      const auto leaf = static_cast<std::size_t>(log.tree()[at].first_leaf);
      for (const LeafCounts& count : counts) {
        trace.add_counter(process, count.name, log.start_ns(at), count.of_leaf[leaf]);
      }
    } else if (range.level == Detail::phase && range.phase < arena.size()) {
      trace.add_counter(process, "arena bytes", log.start_ns(at),
                        static_cast<double>(arena[range.phase]));
    }
  }
  trace.add_counter(process, "GFLOP/s", log.end_ns(0), 0);
  trace.add_counter(process, "arena bytes", log.end_ns(0), 0);
  for (const LeafCounts& count : counts) {
    trace.add_counter(process, count.name, log.end_ns(0), 0);
  }
}

/// Tracks of what the sampling process saw from the last sample before `start_ns` to the first
/// after `end_ns`, where it changed; faults count from there.
void trace_samples(const std::vector<MemorySample>& samples, std::int64_t start_ns,
                   std::int64_t end_ns, int process, Trace& trace) {
  const auto after = std::ranges::upper_bound(samples, start_ns, {}, &MemorySample::ns);
  const auto first = after == samples.begin() ? after : after - 1;
  std::map<std::string, double> shown;
  for (auto sample = first; sample != samples.end(); ++sample) {
    // What was seen before still holds when the runs begin; the trace should not begin before them.
    const std::int64_t at_ns = std::clamp(sample->ns, start_ns, end_ns);
    for (const auto& [track, value] :
         {std::pair{"resident bytes", sample->rss_bytes},
          std::pair{"minor faults", sample->minor_faults - first->minor_faults},
          std::pair{"major faults", sample->major_faults - first->major_faults}}) {
      const auto now = static_cast<double>(value);
      const auto [before, fresh] = shown.try_emplace(track, now);
      if (fresh || std::exchange(before->second, now) != now || sample->ns >= end_ns) {
        trace.add_counter(process, track, at_ns, now);
      }
    }
    if (sample->ns >= end_ns) {
      break;
    }
  }
}

}  // namespace

void trace_runs(Look& look, const PlanCost& cost, const std::vector<LeafCounts>& counts,
                const std::string& sampler, const std::string& name, Trace& trace) {
  constexpr int kRuns = 3;
  constexpr std::int64_t kPeriodUs = 500;
  constexpr std::int64_t kStartNs = 50'000'000;  ///< until the sampling process is surely there
  const RangeLog& log = *look.session->ranges();
  const int process = trace.add_process(name, log.threads());
  std::vector<ordered_json> arguments;
  for (const PlanRange& range : look.ranges) {
    const Cost& own = range_cost(cost, range);
    arguments.push_back({{"flops", own.flops()},
                         {"bytes_weights", own.bytes_weights},
                         {"bytes_activations", own.bytes_activations}});
  }
  std::unique_ptr<MemorySampler> memory;
  if (!sampler.empty()) {
    memory = std::make_unique<MemorySampler>(sampler, kPeriodUs);
    forwards_for(look, kStartNs);
  }
  const std::int64_t start_ns = now_ns();
  for (int run = 0; run < kRuns; ++run) {
    look.forward();
    trace.add_run(process, log, arguments);
    trace_counters(look, cost, counts, process, trace);
  }
  if (memory) {
    trace_samples(memory->stop(), start_ns, log.end_ns(0), process, trace);
  }
}

}  // namespace deformer
