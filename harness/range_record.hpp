#pragma once
/// The ranges of a measured point as rows of its record.

#include <nlohmann/json.hpp>

#include "harness/group.hpp"

namespace deformer {

/// One row a range of the plan, the whole run first:
///   {"path":"encode(joint,9..12)/layer 9/ffn1","level":"op","name":"ffn1","layer":9,
///    "median_ns":...,"ci_low_ns":...,"ci_high_ns":...,"flops":...,"flops_elementwise":...,
///    "bytes_weights":...,"bytes_activations":...,"busy_ns":[a thread's own work, mean of a run]}
/// Null where ranges were recorded down to phases only.
nlohmann::ordered_json ranges_json(const Runner& runner, const PlanCost& cost);

/// The operations summed over layers and phases, in the order of the plan:
///   {"name":"ffn1","count":12,"median_ns":...,"share":of the sum of all,"flops":...,
///    "flops_elementwise":...,"bytes_weights":...,"bytes_activations":...,"gflops":...,
///    "busy_ns":[...],"imbalance":busiest thread over the mean thread, less 1}
/// Null unless operations were recorded.
nlohmann::ordered_json operations_json(const Runner& runner, const PlanCost& cost);

}  // namespace deformer
