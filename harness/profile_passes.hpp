#pragma once
/// What `profile` hangs on the ranges beside time, each in runs of its own:
///
///   counters  {"events":[{"name","unit","source","missing"}],"multiplexed","trouble","forwards",
///              "threads":[{"task_clock":...}],
///              "operations":[{"name","values":{...},"metrics":{...}}],
///              "flops":{"counted","modelled","difference","flagged","reason"}}; counts are of one
///              forward, all threads together
///   memory    phases get "arena_bytes"; phases, ranges and operations "allocations" (calls of
///             operator new in one forward); "memory" gets "allocated_bytes" (the arena, one for
///             all sessions of a model), "planned_largest_bytes" (the largest plan of these, which
///             should be as much), "requested_reduction" (of this backend's buffers, as a part of
///             full's),
///             "sampled":{"rss_peak_bytes","minor_faults","major_faults","samples","missing"}
///   energy    {"joules_per_example","joules","forwards","source","missing"}
///   nvtx      {"ns_per_range","missing"}

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/looks.hpp"
#include "profilers/counter_groups.hpp"
#include "profilers/trace.hpp"

namespace deformer {

/// An event, all threads together, of each leaf in one forward.
struct LeafCounts {
  std::string name;  ///< with its unit
  std::vector<double> of_leaf;
};

/// `by_leaf` gets those events that could be counted.
nlohmann::ordered_json count_operations(Look& look, const PlanCost& cost,
                                        const std::vector<CounterGroup>& groups, const Point& point,
                                        std::vector<LeafCounts>& by_leaf);

/// Adds to the record's phases, ranges, operations and memory. `sampler`: the program that can
/// `sample-memory`; empty samples nothing.
void watch_memory(Look& look, const std::string& sampler, nlohmann::ordered_json& record);

/// {"rows":[{"name","phase","count","ns"}],"missing"} of one forward that is watched; null where no
/// device computes.
nlohmann::ordered_json kernels_json(Look& look, const Point& point);

nlohmann::ordered_json measure_energy(Look& look, const Point& point, double limit_s);

/// Some forwards with NVTX ranges, for a tool that may be attached.
nlohmann::ordered_json run_under_nvtx(Look& look, const PlanCost& cost);

/// Some forwards as a process of the trace. Counter tracks: the rate and the counted events of each
/// operation (as `count_operations` found them, in runs of their own), the arena of each phase, and
/// resident memory and page faults as the sampling process sees them meanwhile.
void trace_runs(Look& look, const PlanCost& cost, const std::vector<LeafCounts>& counts,
                const std::string& sampler, const std::string& name, Trace& trace);

}  // namespace deformer
