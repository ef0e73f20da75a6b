#pragma once
/// The measuring half of a gate: pairs of processes, group after group, until somebody who judges
/// has seen enough or the time is spent; every measured round goes to a run file (gate_file.hpp).
///
/// First both are asked for their plans. A group is measured when both would run the same points of
/// it. A pair of processes starts, measures and ends; then another one, as many as the time holds:
/// layout and address space are drawn anew each time, so that processes, not rounds, are the
/// evidence. Parity is checked in a group's first pair only and copied to the records of later
/// ones: same program, ids and weights. When the judge suspects a regression, further pairs are
/// marked as confirming, for at most half of the time again.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/count_choice.hpp"
#include "harness/gate_pair.hpp"
#include "profilers/gate_looks.hpp"

namespace deformer {

/// What whoever judges says between pairs.
struct GateLook {
  bool decided = false;    ///< more pairs cannot be expected to change it
  bool suspected = false;  ///< a regression, if fresh processes confirm it
};

class GateJudge {
 public:
  virtual ~GateJudge() = default;
  /// `records`: of all pairs of the group so far, both sides. `looks`: how often this group will
  /// have been looked at when its time is spent.
  virtual GateLook look(const std::vector<nlohmann::ordered_json>& runs,
                        const std::vector<nlohmann::ordered_json>& records, int looks) = 0;
  /// For the progress line.
  virtual void step(const std::string& what) = 0;
  virtual void warning(const std::string& message) = 0;
};

struct GateMeasureOptions {
  PairSetting setting;
  double max_time_s = 60;  ///< a point; starting processes is inside, the first pair is not
  std::int64_t fewest_pairs = kFewestGatePairs;
  std::int64_t pairs = 0;  ///< a fixed number, whatever the judge says; 0: until decided
  std::filesystem::path out;
  std::vector<std::string> command;
  nlohmann::ordered_json options;
  bool identical_allowed = false;  ///< --aa
  CountRequest count;              ///< instructions, before anything is timed
};

/// A side from which not even a plan could be had, so that nothing was measured.
struct GateFailure {
  Side side = Side::head;
  WorkerFailure::Kind kind = WorkerFailure::Kind::crashed;
  std::string message;
};

struct GateMeasured {
  std::vector<nlohmann::ordered_json> runs;     ///< of base and of head
  std::vector<nlohmann::ordered_json> records;  ///< of all pairs
  std::vector<nlohmann::ordered_json> ends;
  std::optional<GateFailure> failure;
  std::vector<std::string> notes;  ///< what a reader of the verdict must know
  int looks = 1;                   ///< the most that any group had
  std::int64_t pairs = 0, rounds = 0, discarded = 0;
  bool interrupted = false;
};

/// Measures. @throws BadInput for a program that can't be started, identical programs that were not
/// allowed, a run file that can't be written; Unavailable as choose_count; std::system_error when
/// its disk is full.
GateMeasured measure_gate(const GateMeasureOptions& options, GateJudge& judge);

}  // namespace deformer
