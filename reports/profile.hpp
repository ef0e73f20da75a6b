#pragma once
/// A profiled record as tables: where the time goes by phase and by operation, what is lost against
/// the roofs and why, the waterfall from the FLOP ratio to the measured one, and what was counted.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/roofline.hpp"
#include "reports/table.hpp"

namespace deformer {

/// All tables of one record, in order. What a record does not hold is left out.
std::vector<Table> profile_tables(const nlohmann::ordered_json& record);

/// Phases: time, share, FLOPs, rate, arena.
Table phase_table(const nlohmann::ordered_json& record);
/// Layers, where they were recorded and wanted.
Table layer_table(const nlohmann::ordered_json& record);
/// Operations: time, share, FLOPs, rate, bytes, intensity, share of the roof, imbalance; the sum
/// against the whole.
Table operation_table(const nlohmann::ordered_json& record);
/// Operations by lost time, each with what bounds it.
Table loss_table(const nlohmann::ordered_json& record);
/// Also of a record out of a run file.
Table waterfall_table(const nlohmann::ordered_json& record);
/// Operations by counted events and what is calculated from them, with a total; notes say which
/// events are missing and why, and whether counted FLOPs disagree with the cost model.
Table counter_table(const nlohmann::ordered_json& record);
/// Kernels and copies of a device, by phase; empty where none computes.
Table kernel_table(const nlohmann::ordered_json& record);
/// Memory as another process saw it, energy, and what an NVTX range costs; notes say what is
/// missing.
Table resource_table(const nlohmann::ordered_json& record);

Roofline roofline_of(const nlohmann::ordered_json& record, std::vector<RooflineCeiling> ceilings);

}  // namespace deformer
