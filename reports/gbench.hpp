#pragma once
/// Google Benchmark's JSON: what its compare.py, CI benchmark actions and dashboards read.

#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// The `context` object. `run`: a run line, or null.
nlohmann::ordered_json gbench_context(const nlohmann::ordered_json& run);

/// The entries of one record: an iteration run for each sample kept, then the aggregates mean,
/// median and stddev over all rounds. A record without a time is one entry with `error_occurred`.
/// Counters that are not known are left out: there is no null among that format's numbers.
std::vector<nlohmann::ordered_json> gbench_entries(const nlohmann::ordered_json& record);

}  // namespace deformer
