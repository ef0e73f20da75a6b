#pragma once
/// Records: what was planned and measured of a point, as the JSON of the run file (interface,
/// schema 1).

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "harness/group.hpp"
#include "harness/meter.hpp"
#include "harness/parity.hpp"
#include "harness/run_roofs.hpp"

namespace deformer {

/// Memory of the process and of what a set holds, at the end of measuring it.
struct SetMemory {
  std::int64_t rss_anon_bytes = 0;   ///< resident memory that is no file's
  std::int64_t huge_page_bytes = 0;  ///< of it, in huge pages
  std::int64_t weights_bytes = 0;    ///< packed weights
  std::int64_t pool_bytes = 0;       ///< pools of encoded passages of the set, together
  std::int64_t planned_bytes = 0;    ///< what was planned for the group beforehand: all of these
};

/// What every record of a set shares.
struct SetContext {
  std::string run;
  std::string set;
  std::int64_t set_size = 0;   ///< lines written together, so that a torn set is recognised
  std::string common_options;  ///< options that the reproducer must repeat, e.g. "--max-time 5"
  Processors processors;       ///< [instance][thread]; empty when left to the scheduler
  SetMemory memory;
  std::vector<std::pair<std::string, std::string>> engines;  ///< Model::engines
  std::string injected;             ///< the slowdown that was planted; empty when none was
  nlohmann::ordered_json device;    ///< DeviceWatch::json; null where no device computed
  const RunRoofs* roofs = nullptr;  ///< never null where something was measured
};

/// Counts of the cost model for a point: {"flops":...,"bytes_cache_passage":...}; `executed` null.
nlohmann::ordered_json cost_json(const ModelConfig& config, const Point& point);

/// As a record holds it; null for null.
nlohmann::ordered_json parity_json(const ParityRecord* parity);

/// FLOPs of full over those of the point.
double flop_ratio(const ModelConfig& config, const Point& point);

/// What the point requests less than full, as a part of full's: of `cost.bytes_requested`, every
/// operation's output counted, which is what the paper calls memory.
double requested_reduction(const ModelConfig& config, const Point& point);

/// The command that measures this point again (with `full`, where there is a ratio).
std::string reproduce_command(const ModelChoice& model, const SweepSpec& spec, const Point& point,
                              const std::string& common_options);

/// A record without a measurement: skipped or failed.
nlohmann::ordered_json unmeasured_record(const PlannedGroup& group, const PlannedPoint& planned,
                                         const SetContext& context, const std::string& status,
                                         const std::string& reason, const std::string& reproduce);

/// A measured record. `full` is the full runner of the set, or null; `parity` null when it was off.
/// With several instances `time` is a forward of each while all run side by side; `cost` and
/// `memory.peak_bytes` are of one instance's forward, `throughput` and `achieved` of all together:
///   "throughput": {"items_per_s": instances x batch / median, "tokens_per_s": the same in tokens
///   of
///                  all pairs (question + passage), nothing padded}
///   "processors": [[0,1],...] those the threads of each instance were bound to, or null
///   "engines": {"qkv": "panels", ...} what served each product, or null where there is no choice
///   "ranges", "operations": see range_record.hpp
///   "injected": the planted slowdown, absent otherwise
nlohmann::ordered_json measured_record(const PlannedGroup& group, const Runner& runner,
                                       const Meter& meter, const Runner* full,
                                       const ParityRecord* parity, const ParityRecord* full_parity,
                                       const SetContext& context, const std::string& reproduce);

}  // namespace deformer
