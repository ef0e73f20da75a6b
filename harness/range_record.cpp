#include "harness/range_record.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "profilers/or_null.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

void add_cost(ordered_json& row, const Cost& cost) {
  row["flops"] = cost.flops();
  row["flops_elementwise"] = cost.flops_elementwise;
  row["bytes_weights"] = cost.bytes_weights;
  row["bytes_activations"] = cost.bytes_activations;
}

/// Mean of a run, thread by thread; empty where a thread is not known.
std::vector<double> busy_of(const Runner& runner, int range) {
  std::vector<double> busy;
  const RangeTree& tree = runner.session().ranges()->tree();
  const auto runs = static_cast<double>(std::max<std::int64_t>(runner.range_sums.runs(), 1));
  for (int thread = 0; thread < runner.range_sums.threads(); ++thread) {
    const double sum_ns = runner.range_sums.busy_ns(tree, thread, range);
    if (sum_ns < 0) {
      return {};
    }
    busy.push_back(sum_ns / runs);
  }
  return busy;
}

ordered_json busy_json(const std::vector<double>& busy) {
  return busy.empty() ? ordered_json(nullptr) : ordered_json(busy);
}

/// All ranges of one operation.
struct Operation {
  std::string name;
  Cost cost;
  std::vector<double> round_ns;
  std::vector<double> busy_ns;
  bool busy_known = true;
  std::int64_t count = 0;
};

void add_to(std::vector<double>& sum, const std::vector<double>& values) {
  sum.resize(std::max(sum.size(), values.size()));
  std::ranges::transform(values, sum, sum.begin(), std::plus<>{});
}

std::vector<Operation> gather(const Runner& runner, const PlanCost& cost) {
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < runner.ranges.size(); ++i) {
    const PlanRange& range = runner.ranges[i];
    if (range.level != Detail::op) {
      continue;
    }
    auto found = std::ranges::find(operations, range.name, &Operation::name);
    if (found == operations.end()) {
      operations.emplace_back().name = range.name;
      found = operations.end() - 1;
    }
    found->cost += range_cost(cost, range);
    ++found->count;
    add_to(found->round_ns, runner.range_ns[i]);
    const std::vector<double> busy = busy_of(runner, static_cast<int>(i));
    found->busy_known = found->busy_known && !busy.empty();
    add_to(found->busy_ns, busy);
  }
  return operations;
}

}  // namespace

ordered_json ranges_json(const Runner& runner, const PlanCost& cost) {
  if (runner.ranges.empty()) {
    return nullptr;
  }
  const RangeTree& tree = runner.session().ranges()->tree();
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < runner.ranges.size(); ++i) {
    const PlanRange& range = runner.ranges[i];
    const auto interval = median_interval(runner.range_ns[i]);
    ordered_json row{
        {"path", tree.path(static_cast<int>(i))},
        {"level", range.level == Detail::none ? "run" : std::string(to_string(range.level))},
        {"name", range.name},
        {"layer", range.layer < 0 ? ordered_json(nullptr) : ordered_json(range.layer)},
        {"median_ns", or_null(median(runner.range_ns[i]))},
        {"ci_low_ns", interval ? ordered_json(interval->low) : ordered_json(nullptr)},
        {"ci_high_ns", interval ? ordered_json(interval->high) : ordered_json(nullptr)}};
    add_cost(row, range_cost(cost, range));
    row["busy_ns"] = busy_json(busy_of(runner, static_cast<int>(i)));
    rows.push_back(std::move(row));
  }
  return rows;
}

ordered_json operations_json(const Runner& runner, const PlanCost& cost) {
  const std::vector<Operation> operations = gather(runner, cost);
  if (operations.empty()) {
    return nullptr;
  }
  double sum_ns = 0;
  for (const Operation& operation : operations) {
    sum_ns += median(operation.round_ns).value_or(0);
  }
  ordered_json rows = ordered_json::array();
  for (const Operation& operation : operations) {
    const std::optional<double> middle_ns = median(operation.round_ns);
    ordered_json row{{"name", operation.name},
                     {"count", operation.count},
                     {"median_ns", or_null(middle_ns)},
                     {"share", middle_ns && sum_ns > 0 ? ordered_json(*middle_ns / sum_ns)
                                                       : ordered_json(nullptr)}};
    add_cost(row, operation.cost);
    const bool rated = operation.cost.flops() > 0 && middle_ns && *middle_ns > 0;
    row["gflops"] = rated ? ordered_json(static_cast<double>(operation.cost.flops()) / *middle_ns)
                          : ordered_json(nullptr);
    row["busy_ns"] = busy_json(operation.busy_known ? operation.busy_ns : std::vector<double>{});
    row["imbalance"] = nullptr;
    if (operation.busy_known && !operation.busy_ns.empty()) {
      const double mean_ns =
          std::accumulate(operation.busy_ns.begin(), operation.busy_ns.end(), 0.0) /
          static_cast<double>(operation.busy_ns.size());
      row["imbalance"] = mean_ns > 0
                             ? ordered_json(std::ranges::max(operation.busy_ns) / mean_ns - 1)
                             : ordered_json(nullptr);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace deformer
