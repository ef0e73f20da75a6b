#pragma once
/// What earlier runs in a run file have measured already, so that the same command goes on.

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "harness/sweep.hpp"
#include "records/run_file.hpp"

namespace deformer {

class Done {
 public:
  /// `file` must outlive this. Only records of the same build and machine count.
  /// @throws BadInput naming the difference where `file` has others and `options` allow none.
  Done(const RunFile& file, const SweepOptions& options, const nlohmann::ordered_json& machine);

  /// `ok` (with a ratio where there can be one), or `skipped` for the same reason.
  bool contains(const PlannedGroup& group, const PlannedPoint& planned) const;

 private:
  bool ranges_wanted_;
  std::map<std::string, const nlohmann::ordered_json*> latest_;  ///< by key
};

}  // namespace deformer
