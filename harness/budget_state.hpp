#pragma once
/// What records say to the planner of a budget. See harness/budget.hpp.

#include <nlohmann/json.hpp>

#include "harness/budget.hpp"
#include "workloads/sweep_spec.hpp"

namespace deformer {

/// A group nothing of which is measured: times estimated from FLOPs at `flops_per_s`.
BudgetGroup unmeasured_budget(const std::vector<const PlannedPoint*>& points,
                              const ModelConfig& config, double flops_per_s);

/// Takes in the records of a set: `points` are those of the group, parallel to `group.points`.
void update_budget(BudgetGroup& group, const std::vector<const PlannedPoint*>& points,
                   const std::vector<nlohmann::ordered_json>& records);

}  // namespace deformer
