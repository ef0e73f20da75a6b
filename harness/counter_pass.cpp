// The pass that counts events: per operation, per thread and in all, with the formulas of the
// groups and the counted FLOPs against the cost model.

#include <algorithm>
#include <cmath>

#include "harness/pass_runs.hpp"
#include "harness/profile_passes.hpp"
#include "profilers/counters.hpp"
#include "profilers/or_null.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Counted and modelled FLOPs should agree within this.
constexpr double kFlopTolerance = 0.02;

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

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

}  // namespace deformer
