#pragma once
/// Instructions of a forward of each point, of one program (gate_count.hpp): it is started as a
/// worker, by valgrind, with one thread, and what callgrind then wrote is read.

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/gate_count.hpp"
#include "harness/gate_pair.hpp"

namespace deformer {

class SideCount {
 public:
  SideCount(Side side, const PairSetting& setting, const GateCountOptions& options);

  /// What it would count. @throws WorkerFailure, kind old_protocol where the program can't count.
  std::vector<WorkerGroupPlan> plan();

  /// The field "counted" of a group's points, by key. @throws WorkerFailure, kind hung beyond the
  /// time that the points have together, garbage where callgrind's file holds no counts.
  std::map<std::string, nlohmann::ordered_json> count(const WorkerGroupPlan& group);

  Side side() const { return side_; }

 private:
  Side side_;
  std::string program_;
  std::vector<std::string> arguments_;
  WorkerTimeouts timeouts_;
  const GateCountOptions& options_;
};

}  // namespace deformer
