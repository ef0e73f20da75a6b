#pragma once
/// What A/A gates on this machine say of its noise, kept in a file with the machine's fingerprint.
///
///     {"type":"gate-calibration","schema":1,"saved":"2026-08-05T09:30:00Z","build":...,
///      "deciding":{fields of the machine},"pairs_a_gate":...,"pairs_to_confirm":...,"points":[
///        {"key","name","time_ln","ratio_ln","degrees_of_freedom","threshold","smallest_effect",
///         "pairs","gates","false_alarms","false_alarms_high"}]}
///
/// The machine is another one when a deciding field differs, those that a run file goes by
/// (profilers/machine.hpp: CPU model, architecture, ISA, cores, logical processors, CPU quota,
/// last-level cache, memory in GiB, hypervisor, library versions). A kernel's patch level decides
/// nothing.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"
#include "reports/table.hpp"

namespace deformer {

struct PointCalibration {
  std::string key, name;
  PointNoise noise;
  std::int64_t pairs = 0;      ///< of processes that were measured
  double smallest_effect = 0;  ///< a slowdown that is caught in 95 of 100 gates of this length
  /// Of gates drawn from these pairs, sides exchanged at random, judged with `noise.threshold`.
  std::int64_t gates = 0, false_alarms = 0;
  double false_alarms_high = 1;  ///< high end of the share's 95 % Clopper-Pearson interval
};

struct GateCalibration {
  std::string saved, build;
  std::map<std::string, std::string> machine;  ///< deciding fields
  std::int64_t pairs_a_gate = 0;               ///< the budget that thresholds hold for
  std::int64_t pairs_to_confirm = 0;
  std::vector<PointCalibration> points;
};

/// Of A/A pairs in `recorded`. A point's noise is the standard deviation of its pairs' differences
/// (trimmed mean, as in a verdict). Its threshold is the smallest slowdown that a gate of
/// `pairs_a_gate` pairs with this noise of the time calls in 95 of 100 (where the time is decided,
/// an undecided ratio is not waited for), but not below 1 %: another link order alone moves code by
/// half of that. The false-alarm rate is that of `gates` gates drawn from the pairs, of this point
/// alone.
/// @throws BadInput when a point has fewer than 6 pairs, or fewer than one gate needs.
GateCalibration calibrate(const GateInput& recorded, const GateRules& rules,
                          std::int64_t pairs_a_gate, std::int64_t gates);

nlohmann::ordered_json calibration_json(const GateCalibration& calibration);
Table calibration_table(const GateCalibration& calibration);

/// @throws BadInput when the file is missing, no calibration, or holds what none does.
GateCalibration read_calibration(const std::filesystem::path& path);

/// Its noise and thresholds into the rules. `machine`: deciding fields of what is judged, found at
/// `place`. @throws BadInput naming the fields in which the machines differ.
void use_calibration(GateRules& rules, const GateCalibration& calibration,
                     const std::map<std::string, std::string>& machine, const std::string& path,
                     const std::string& place);

}  // namespace deformer
