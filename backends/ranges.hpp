#pragma once
/// The ranges of a plan as a tree that can be recorded.

#include "model/ranges.hpp"
#include "profilers/range_tree.hpp"

namespace deformer {

/// Range i of the tree is range i of plan_ranges.
RangeTree range_tree(const std::vector<PlanRange>& ranges);

/// Index of each phase's range, parallel to plan.phases; empty where phases are not recorded.
std::vector<int> phase_ranges(const std::vector<PlanRange>& ranges);

}  // namespace deformer
