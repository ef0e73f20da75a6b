#pragma once
/// Measures one set: the chosen points of a group prepared, checked against the reference, run in
/// rounds until they are precise, and told as records. Writes nothing and knows of no run file.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/model_shelf.hpp"
#include "harness/parity.hpp"
#include "harness/record.hpp"
#include "harness/sweep.hpp"
#include "harness/thread_places.hpp"
#include "profilers/device_watch.hpp"

namespace deformer {

/// Keeps what outlasts a set: models, reference outputs, roofs, watches over devices.
class SetMeasurer {
 public:
  /// All references must outlive this.
  SetMeasurer(const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
              const SweepOptions& options, BenchmarkDriver& driver, SweepObserver& observer);

  /// The `machine` object of the run line.
  const nlohmann::ordered_json& machine() const { return machine_; }
  RunRoofs& roofs() { return roofs_; }
  const RunRoofs& roofs() const { return roofs_; }

  /// One record a point, in the order of the set; none when it was interrupted: a set cut short is
  /// measured again on resume. `context` comes with run, set, its size and the options that a
  /// reproducer repeats. @throws what preparing and measuring throws.
  std::vector<nlohmann::ordered_json> measure(const PlannedGroup& group,
                                              const std::vector<const PlannedPoint*>& chosen,
                                              SetContext context, MeasureOptions measuring);

  /// Records of points that were not measured, in the same set. An empty reason: each point's own.
  std::vector<nlohmann::ordered_json> unmeasured(const PlannedGroup& group,
                                                 const std::vector<const PlannedPoint*>& points,
                                                 const SetContext& context,
                                                 const std::string& status,
                                                 const std::string& reason) const;

  /// How long the rounds of the last set took, without its preparation.
  double measured_s() const { return measured_s_; }

 private:
  DeviceWatch* device_of(const Point& point);
  void warn_of_crowding(const Point& point);
  void run_rounds(const PlannedGroup& group, PreparedGroup& prepared, Meter& meter);
  std::vector<nlohmann::ordered_json> records_of(const PlannedGroup& group, PreparedGroup& prepared,
                                                 const Meter& meter,
                                                 const std::vector<ParityRecord>& parity,
                                                 const SetContext& context);
  std::string reproduce(const PlannedGroup& group, const PlannedPoint& planned,
                        const SetContext& context) const;

  const SweepSpec& spec_;
  const SweepOptions& options_;
  BenchmarkDriver& driver_;
  SweepObserver& observer_;
  StepProgress step_;
  Machine hardware_;
  nlohmann::ordered_json machine_;
  ThreadPlaces places_;
  std::map<std::string, std::unique_ptr<DeviceWatch>> devices_;  ///< by bus
  std::set<std::string> warned_of_;
  ModelShelf shelf_;
  RunRoofs roofs_;
  ParityChecker parity_;
  double measured_s_ = 0;
};

}  // namespace deformer
