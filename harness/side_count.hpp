#pragma once
/// Instructions of a forward of each point, of one program (gate_count.hpp): it is started as a
/// worker with one thread, by valgrind or as it is, and what callgrind wrote or it answered is
/// read.

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/gate_count.hpp"
#include "harness/gate_pair.hpp"

namespace deformer {

/// Whether a program knows to be asked for such counts: one that does not is older.
bool can_count(const WorkerHello& hello, CountBy by);

class SideCount {
 public:
  SideCount(Side side, const PairSetting& setting, const GateCountOptions& options);

  /// What it would count. @throws WorkerFailure, kind old_protocol where the program can't count.
  std::vector<WorkerGroupPlan> plan();

  /// The field "counted" of a group's points, by key. @throws WorkerFailure, kind hung beyond the
  /// time that the points have together, garbage where there are no counts.
  std::map<std::string, nlohmann::ordered_json> count(const WorkerGroupPlan& group);

  Side side() const { return side_; }

 private:
  /// A worker for each process, told how long it may take.
  class Deadline;
  std::map<std::string, nlohmann::ordered_json> by_callgrind(const WorkerGroupPlan& group,
                                                             const Deadline& deadline);
  std::map<std::string, nlohmann::ordered_json> by_counters(const WorkerGroupPlan& group,
                                                            const Deadline& deadline);
  void prepare(GateWorker& worker, const WorkerGroupPlan& group, const Deadline& deadline);

  Side side_;
  std::string program_;
  std::vector<std::string> arguments_;
  WorkerTimeouts timeouts_;
  const GateCountOptions& options_;
};

}  // namespace deformer
