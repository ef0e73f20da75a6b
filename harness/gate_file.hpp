#pragma once
/// What a gate writes down: an ordinary run file (interface, schema 1) that holds both sides.
///
/// Each side has a run line and an end line, and each process is one set, whose records are marked
///
///     "gate": {"pair": ID of the gate, "side": "base"|"head", "process": 0.., "confirming": bool}
///
/// base's process i stands beside head's process i, round by round (`time.samples`). The sets of a
/// pair are written together and synced: a kill loses at most the pair in progress. Run lines carry
///
///     "gate": {"pair","side","program": path,"binary_bytes","binary_sha256","inject": TEXT or
///     null}
///
/// A side that gave no measurement of a group has records without one: `invalid` when head is to
/// blame (it crashed, hung, answered garbage, failed parity) or the measurement is (a clock
/// stepped, a program changed under way), `failed` when base crashed or hung.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/gate_count.hpp"
#include "harness/gate_pair.hpp"
#include "records/run_file.hpp"

namespace deformer {

/// A program's file.
struct GateProgramFile {
  std::string path;
  std::int64_t bytes = 0;
  std::string sha256;
};
/// @throws BadInput when it can't be read.
GateProgramFile read_program_file(const std::string& path);

/// Status of the points that a failing side gave no measurement of.
std::string status_after(Side side, WorkerFailure::Kind kind);

class GateFile {
 public:
  /// @throws BadInput as RunWriter.
  explicit GateFile(const std::filesystem::path& path);

  const RunFile& existing() const { return writer_.existing(); }
  const std::string& id() const { return id_; }
  std::string run_id(Side side) const;
  std::string set_name(const std::string& group, std::int64_t process) const;

  // Each writes at once. @throws std::system_error when the disk is full, BadInput when a worker's
  // record is none.

  void start(const GateProgramFile& base, const GateProgramFile& head, const PairPlans& plans,
             const std::string& inject, const std::vector<std::string>& command,
             const nlohmann::ordered_json& options);
  /// Written with the first record of each point and side, as `counted`.
  void add_counts(GateCounts counts) { counts_ = std::move(counts); }
  /// A measured pair; a record without parity gets that of the group's first pair.
  void add_pair(PairRun& run, std::int64_t process, bool confirming);
  /// Points of a group that a side did not run.
  struct Unmeasured {
    Side side;
    const WorkerGroupPlan* group;
    std::string status;
    std::string reason;       ///< empty: the point's own, for skipped ones
    bool of_skipped = false;  ///< the points that can't be run there, else those that can
    std::int64_t process = 0;
  };
  void add_unmeasured(const Unmeasured& what);
  void end();

  const std::vector<nlohmann::ordered_json>& runs() const { return runs_; }
  const std::vector<nlohmann::ordered_json>& records() const { return records_; }
  const std::vector<nlohmann::ordered_json>& ends() const { return ends_; }

 private:
  nlohmann::ordered_json mark(Side side, std::int64_t process, bool confirming) const;
  void write(std::vector<nlohmann::ordered_json> records);

  RunWriter writer_;
  std::string id_;
  std::int64_t started_ns_ = 0;
  std::vector<nlohmann::ordered_json> runs_, records_, ends_;
  std::map<std::pair<Side, std::string>, nlohmann::ordered_json> parity_;  ///< of the first pair
  GateCounts counts_;                                                      ///< not yet written
  std::map<std::pair<Side, std::string>, std::string> status_;             ///< of each point
};

}  // namespace deformer
