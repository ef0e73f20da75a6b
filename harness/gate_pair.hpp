#pragma once
/// One pair of processes: base and head started one beside the other, one group measured in both,
/// by turns, so that what disturbs one disturbs both.
///
/// Only one of them computes at a time. They take turns in blocks of rounds: base head base head in
/// one pair, head base head base in the next, which is also the order they are started in, so that
/// a drift falls out over two pairs. Every block begins where the other program has just been:
/// with ABBA within a pair every second block would find its own weights in the caches, and rounds
/// that stand side by side would differ by that (30 % of minilm-l6's cached forward). Round i of
/// base stands beside round i of head; one that either's probe saw disturbed is discarded on both
/// sides.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/gate_worker.hpp"

namespace deformer {

enum class Side { base, head };
const char* side_name(Side side);

/// A worker failed; which.
class SideFailure : public WorkerFailure {
 public:
  SideFailure(Side side, const WorkerFailure& failure) : WorkerFailure(failure), side_(side) {}
  Side side() const { return side_; }

 private:
  Side side_;
};

/// What is the same in every pair of a gate.
struct PairSetting {
  std::string base, head;              ///< programs
  std::vector<std::string> arguments;  ///< options of sweep that say which points, and how
  std::string inject;                  ///< a slowdown for head; empty: none
  bool parity = true;
  WorkerTimeouts timeouts;
};

/// How long to measure.
struct PairLength {
  double seconds = 0.5;  ///< of measuring, both together, about
  std::int64_t fewest_rounds = 2;
};

struct PairRun {
  std::vector<nlohmann::ordered_json> base, head;  ///< records; samples in step
  WorkerHello base_hello, head_hello;
  double setup_s = 0;  ///< starting and preparing both
  double measured_s = 0;
  double round_s = 0;  ///< one of base and one of head
  std::int64_t rounds = 0, discarded = 0;
  std::string parity_failed_base, parity_failed_head;  ///< then nothing was measured
};

/// Both started: what they would measure.
struct PairPlans {
  std::vector<WorkerGroupPlan> base, head;
  WorkerHello base_hello, head_hello;
};

/// Asks both what points the arguments mean. @throws SideFailure, BadInput, ChildInterrupted.
PairPlans plan_pair(const PairSetting& setting);

struct PairOrder {
  std::string group;       ///< key
  std::int64_t index = 0;  ///< of the pair: who starts
  std::string base_run, head_run, set;
};

/// @throws SideFailure, BadInput, ChildInterrupted.
PairRun measure_pair(const PairSetting& setting, const PairOrder& order, const PairLength& length);

}  // namespace deformer
