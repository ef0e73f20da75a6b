#pragma once
/// The ranges of a plan: run -> phase -> layer -> operation, in the order in which they run.
/// Console, records, NVTX and the trace name them alike, whatever the backend.
///
///     run
///       embed(question)            phase_name
///         embed                    a phase that is no encoder is one operation, named as its kind
///       encode(question,0..9)
///         layer 0                  as the plan counts, from 0
///           qkv attention out ...  layer_operations

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.hpp"
#include "model/cost.hpp"
#include "model/plan.hpp"

namespace deformer {

/// How far down ranges are recorded. With `none` nothing is timed.
enum class Detail { none, phase, layer, op };
std::string_view to_string(Detail);
/// phase, layer or op.
std::optional<Detail> parse_detail(std::string_view);

struct PlanRange {
  Detail level;  ///< `none` is the whole run
  std::string name;
  int parent = -1;          ///< index, -1 for the run
  std::size_t phase = 0;    ///< index into plan.phases; unless it is the run
  std::int64_t layer = -1;  ///< of layers and their operations, as the plan counts
  int operation = -1;       ///< index into the phase's operations
};

/// Each range before those inside it; the run is the first.
std::vector<PlanRange> plan_ranges(const ModelConfig& config, const Plan& plan, Detail detail);

/// What a range costs.
const Cost& range_cost(const PlanCost& cost, const PlanRange& range);

/// One operation to be found in a plan: `layer` -1 takes the first range of that name. Returns its
/// index in `ranges`, or nullopt when the plan has none.
std::optional<int> find_operation(const std::vector<PlanRange>& ranges, std::string_view operation,
                                  std::int64_t layer);

}  // namespace deformer
