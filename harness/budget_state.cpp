#include "harness/budget_state.hpp"

#include <algorithm>

#include "harness/group.hpp"
#include "harness/meter.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

double number_at(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || !found->is_number() ? 0 : found->get<double>();
}

}  // namespace

BudgetGroup unmeasured_budget(const std::vector<const PlannedPoint*>& points,
                              const ModelConfig& config, double flops_per_s) {
  BudgetGroup group;
  for (const PlannedPoint* planned : points) {
    const auto flops = static_cast<double>(plan_cost(config, planned->point).total.flops());
    BudgetPoint point;
    point.variant = planned->point.variant;
    point.split = planned->point.split;
    point.forward_ns = flops / flops_per_s * 1e9;
    point.sample_ns = std::max(point.forward_ns, Meter::kShortestSampleNs);
    group.points.push_back(point);
  }
  return group;
}

void update_budget(BudgetGroup& group, const std::vector<const PlannedPoint*>& points,
                   const std::vector<ordered_json>& records) {
  for (const ordered_json& record : records) {
    const auto found = std::ranges::find_if(points, [&record](const PlannedPoint* planned) {
      return record.at("key") == planned->key;
    });
    if (found == points.end()) continue;
    BudgetPoint& point = group.points[static_cast<std::size_t>(found - points.begin())];
    point.rounds = std::max<std::int64_t>(point.rounds, 1);
    point.centre = 0;
    const ordered_json& time = record.at("time");
    if (record.at("status") != "ok" || !time.is_object()) continue;
    point.rounds = std::max<std::int64_t>(1, static_cast<std::int64_t>(number_at(time, "rounds")));
    point.forward_ns = number_at(time, "median");
    point.sample_ns = point.forward_ns * std::max(1.0, number_at(time, "forwards_per_sample"));
    const ordered_json& speedup = record.at("speedup");
    const ordered_json& measure = speedup.is_object() ? speedup : time;
    point.centre = number_at(measure, "median");
    point.low = number_at(measure, "ci_low");
    point.high = number_at(measure, "ci_high");
    if (point.low <= 0 || point.high <= 0) {  // too few rounds for an interval
      point.low = point.centre * 0.5;
      point.high = point.centre * 1.5;
    }
  }
}

}  // namespace deformer
