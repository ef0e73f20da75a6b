#pragma once
/// What `profile` hangs on the ranges beside time, each in runs of its own:
///
///   counters  {"events":[{"name","unit","source","missing"}],"multiplexed","trouble","forwards",
///              "threads":[{"task_clock":...}],
///              "operations":[{"name","values":{...},"metrics":{...}}],
///              "flops":{"counted","modelled","difference","flagged","reason"}}; counts are of one
///              forward, all threads together
///   memory    phases get "arena_bytes", "allocations"; "memory" gets "allocated_bytes" (the
///   arena),
///             "sampled":{"rss_peak_bytes","minor_faults","major_faults","samples","missing"}
///   energy    {"joules_per_example","joules","forwards","missing"}
///   nvtx      {"ns_per_range","missing"}

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/looks.hpp"
#include "profilers/counter_groups.hpp"
#include "profilers/trace.hpp"

namespace deformer {

nlohmann::ordered_json count_operations(Look& look, const PlanCost& cost,
                                        const std::vector<CounterGroup>& groups,
                                        const Point& point);

/// Adds to the record's phases and memory. `sampler`: the program that can `sample-memory`; empty
/// samples nothing.
void watch_memory(Look& look, const std::string& sampler, nlohmann::ordered_json& record);

/// {"rows":[{"name","phase","count","ns"}],"missing"} of one forward that is watched; null where no
/// device computes.
nlohmann::ordered_json kernels_json(Look& look, const Point& point);

nlohmann::ordered_json measure_energy(Look& look, const Point& point, double limit_s);

/// Some forwards with NVTX ranges, for a tool that may be attached.
nlohmann::ordered_json run_under_nvtx(Look& look, const PlanCost& cost);

/// Some forwards as a process of the trace, with counter tracks of the rate and the arena.
void trace_runs(Look& look, const PlanCost& cost, const std::string& name, Trace& trace);

}  // namespace deformer
