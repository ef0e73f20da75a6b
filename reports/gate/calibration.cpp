#include "reports/gate/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <limits>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/fields.hpp"
#include "reports/gate/distributions.hpp"
#include "reports/gate/estimate.hpp"
#include "reports/gate/replay.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kType = "gate-calibration";
constexpr int kSchema = 1;
/// What no threshold goes below, see calibrate().
constexpr double kFinestThreshold = 0.01;
/// As --threshold: beyond this a gate would pass anything.
constexpr double kCoarsestThreshold = 10;
constexpr std::int64_t kFewestPairs = 6;
/// More than any calibration holds, and little enough to read.
constexpr std::uintmax_t kLargestFile = 64U << 20U;

struct FigureNoise {
  double deviation = 0;  ///< of one pair
  double degrees = 0;
  std::int64_t pairs = 0;
};

FigureNoise noise_of(const GatePoint& point, Figure figure, const GateRules& rules) {
  const std::vector<double> differences = pair_differences(point, figure, false);
  const auto located = locate(differences, 0, 0, rules.assumed_noise_ln);
  if (!located || located->assumed_noise) {
    return {};
  }
  return {located->error * std::sqrt(static_cast<double>(located->processes)),
          located->degrees_of_freedom, located->processes};
}

/// The threshold T whose smallest effect is T itself: the line of alarm lies at T/2, and
/// smallest_effect is half a threshold and the reach of the noise.
double finest_threshold(const FigureNoise& noise, const GateRules& rules, std::int64_t pairs,
                        std::int64_t tests) {
  Location gate;
  gate.error = noise.deviation / std::sqrt(static_cast<double>(pairs));
  gate.degrees_of_freedom = noise.degrees + static_cast<double>(pairs) - 1;  // pooled, as judged
  double threshold = kFinestThreshold;
  for (int i = 0; i < 60; ++i) {  // halves the distance each time
    threshold = estimate(gate, threshold, rules, tests).smallest_effect;
  }
  return std::max(threshold, kFinestThreshold);
}

PointCalibration calibrate_point(const GatePoint& point, const GateRules& rules,
                                 std::int64_t pairs_a_gate) {
  const FigureNoise time = noise_of(point, Figure::time, rules);
  const FigureNoise ratio = noise_of(point, Figure::ratio, rules);
  if (time.pairs < kFewestPairs) {
    throw BadInput(
        fmt::format("{}: expected at least {} pairs of processes to calibrate with, found {}; give "
                    "--pairs or a longer --max-time",
                    point.name, kFewestPairs, time.pairs));
  }
  const std::int64_t tests = ratio.pairs > 0 ? 2 : 1;
  PointCalibration found;
  found.key = point.key;
  found.name = point.name;
  found.pairs = time.pairs;
  found.noise = {.time_ln = time.deviation,
                 .ratio_ln = ratio.deviation,
                 .degrees_of_freedom = time.degrees,
                 .threshold = finest_threshold(time, rules, pairs_a_gate, tests)};
  found.smallest_effect = found.noise.threshold;
  return found;
}

/// Gates of this point alone, judged as they will be.
void count_false_alarms(PointCalibration& point, const GateInput& recorded, GateRules rules,
                        const GateCalibration& calibration, std::int64_t gates) {
  GateInput alone = recorded;
  std::erase_if(alone.points, [&](const GatePoint& other) { return other.key != point.key; });
  rules.threshold_given = false;
  rules.calibration = {{point.key, point.noise}};
  const ReplayOutcome outcome = Replay(alone).run({.gates = gates,
                                                   .processes = calibration.pairs_a_gate,
                                                   .fresh = calibration.pairs_to_confirm},
                                                  rules);
  point.gates = gates;
  point.false_alarms = outcome.counts.front().alarms;
  point.false_alarms_high = clopper_pearson(point.false_alarms, gates, 0.95).high;
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& found) {
  throw BadInput(fmt::format(
      "{}: expected a calibration of schema {}, found {}; make one with `gate calibrate`",
      path.string(), kSchema, found));
}

/// A finite number, not negative; an error names the field.
double number_of(const std::filesystem::path& path, const Json& point, const char* name) {
  const auto value = number_field(point, name);
  if (!value || *value < 0) {
    refuse(path, fmt::format("a point without a '{}' of 0 or more", name));
  }
  return *value;
}

PointCalibration read_point(const std::filesystem::path& path, const Json& json) {
  const auto key = text_field(json, "key");
  if (!json.is_object() || !key) {
    refuse(path, "a point without a key");
  }
  PointCalibration point;
  point.key = *key;
  point.name = text_field(json, "name").value_or(*key);
  point.noise = {.time_ln = number_of(path, json, "time_ln"),
                 .ratio_ln = number_of(path, json, "ratio_ln"),
                 .degrees_of_freedom = number_of(path, json, "degrees_of_freedom"),
                 .threshold = number_of(path, json, "threshold")};
  if (point.noise.threshold > kCoarsestThreshold || point.noise.time_ln > kCoarsestThreshold ||
      point.noise.ratio_ln > kCoarsestThreshold) {
    refuse(path, fmt::format("a point whose noise or threshold is above {}, which sees nothing",
                             kCoarsestThreshold));
  }
  return point;
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100 * share);
}

}  // namespace

GateCalibration calibrate(const GateInput& recorded, const GateRules& rules,
                          std::int64_t pairs_a_gate, std::int64_t gates) {
  GateCalibration calibration;
  calibration.saved = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  calibration.build = recorded.base.build;
  calibration.machine = recorded.base.machine;
  calibration.pairs_a_gate = pairs_a_gate;
  if (recorded.points.empty()) {
    throw BadInput("expected points that were measured, found none to calibrate with");
  }
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
  for (const GatePoint& point : recorded.points) {
    calibration.points.push_back(calibrate_point(point, rules, pairs_a_gate));
    fewest = std::min(fewest, calibration.points.back().pairs);
  }
  if (fewest < pairs_a_gate) {
    throw BadInput(
        fmt::format("expected at least the {} pairs of processes of one gate, found {}; give more "
                    "--max-time or --pairs, or ask for gates of fewer with --pairs-a-gate",
                    pairs_a_gate, fewest));
  }
  calibration.pairs_to_confirm = std::min(pairs_a_gate, fewest - pairs_a_gate);
  for (PointCalibration& point : calibration.points) {
    count_false_alarms(point, recorded, rules, calibration, gates);
  }
  return calibration;
}

Json calibration_json(const GateCalibration& calibration) {
  Json points = Json::array();
  for (const PointCalibration& point : calibration.points) {
    points.push_back({{"key", point.key},
                      {"name", point.name},
                      {"time_ln", point.noise.time_ln},
                      {"ratio_ln", point.noise.ratio_ln},
                      {"degrees_of_freedom", point.noise.degrees_of_freedom},
                      {"threshold", point.noise.threshold},
                      {"smallest_effect", point.smallest_effect},
                      {"pairs", point.pairs},
                      {"gates", point.gates},
                      {"false_alarms", point.false_alarms},
                      {"false_alarms_high", point.false_alarms_high}});
  }
  return {{"type", kType},
          {"schema", kSchema},
          {"saved", calibration.saved},
          {"build", calibration.build},
          {"deciding", calibration.machine},
          {"pairs_a_gate", calibration.pairs_a_gate},
          {"pairs_to_confirm", calibration.pairs_to_confirm},
          {"points", std::move(points)}};
}

Table calibration_table(const GateCalibration& calibration) {
  Table table;
  table.title = "gate: calibration";
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"noise", "noise", "", "Standard deviation of a pair of processes, head / base"},
      {"ratio_noise", "of ratio", "", "The same of the ratio to full"},
      {"threshold", "threshold", "", "Smallest slowdown that a gate of this length always sees"},
      {"false_alarms", "false alarms", "", "In gates drawn from the pairs"},
      {"false_alarms_high", "at most", "", "High end of the share's 95 % interval"},
      {"pairs", "pairs", "", "Pairs of processes measured"}};
  for (const PointCalibration& point : calibration.points) {
    table.rows.push_back(
        {point.name, percent(std::expm1(point.noise.time_ln)),
         point.noise.ratio_ln > 0 ? Cell{percent(std::expm1(point.noise.ratio_ln))} : Cell{},
         percent(point.noise.threshold), fmt::format("{} of {}", point.false_alarms, point.gates),
         percent(point.false_alarms_high), fmt::format("{}", point.pairs)});
  }
  table.notes.push_back(
      fmt::format("for gates of {} pairs of processes, {} more to confirm a suspicion",
                  calibration.pairs_a_gate, calibration.pairs_to_confirm));
  return table;
}

GateCalibration read_calibration(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kLargestFile) {
    refuse(path, error ? error.message() : fmt::format("{} bytes", size));
  }
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, false);
  if (!json.is_object() || json.value("type", Json()) != kType ||
      json.value("schema", Json()) != kSchema) {
    refuse(path, "another file");
  }
  const Json deciding = json.value("deciding", Json());
  const Json points = json.value("points", Json());
  if (!deciding.is_object() || deciding.empty() || !points.is_array()) {
    refuse(path, "no machine or no points in it");
  }
  GateCalibration calibration;
  calibration.saved = text_field(json, "saved").value_or("");
  calibration.build = text_field(json, "build").value_or("");
  for (const auto& [name, value] : deciding.items()) {
    if (!value.is_string()) {
      refuse(path, fmt::format("the field '{}' of its machine no string", name));
    }
    calibration.machine[name] = value.get<std::string>();
  }
  for (const Json& point : points) {
    calibration.points.push_back(read_point(path, point));
  }
  return calibration;
}

void use_calibration(GateRules& rules, const GateCalibration& calibration,
                     const std::map<std::string, std::string>& machine, const std::string& path,
                     const std::string& place) {
  const std::string difference =
      describe_differences(calibration.machine, machine, "in " + path, place);
  if (!difference.empty()) {
    throw BadInput(fmt::format(
        "--calibration: expected one of this machine, found {}; run `gate calibrate` here",
        difference));
  }
  for (const PointCalibration& point : calibration.points) {
    rules.calibration[point.key] = point.noise;
  }
}

}  // namespace deformer
