#pragma once
/// A whole sweep: which points are still missing, group after group, records into the run file.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/benchmark_driver.hpp"
#include "harness/meter.hpp"
#include "harness/run_roofs.hpp"
#include "profilers/machine.hpp"
#include "workloads/sweep_spec.hpp"

namespace deformer {

/// Who is running: what a run line says of the build.
struct BuildInfo {
  std::string version;
  std::string revision;
  std::string build;  ///< build id
  std::string flags;
};

/// Looks closer at a set that was measured, while its sessions are still there, and adds what it
/// finds to the records before they are written. `profile` is made of one.
class SetExaminer {
 public:
  virtual ~SetExaminer() = default;
  /// `records` parallel to group.runners().
  virtual void examine(PreparedGroup& group, const RunRoofs& roofs,
                       std::vector<nlohmann::ordered_json>& records,
                       const StepProgress& progress) = 0;
};

struct SweepOptions {
  std::filesystem::path out;
  bool fresh = false;        ///< measure all again
  bool allow_mixed = false;  ///< append to a file of another build or machine
  bool parity = true;
  bool pin = true;                ///< bind threads to processors where there are enough
  bool roofs = true;              ///< measure peak and bandwidth at the start of the run
  Detail detail = Detail::phase;  ///< how far down records tell where the time goes
  Injection inject;               ///< a slowdown to plant; needs Detail::op
  SetExaminer* examiner = nullptr;
  double budget_s = 0;  ///< for all that is measured; 0: each point has its own time
  MeasureOptions measure;
  std::vector<std::string> command;
  nlohmann::ordered_json resolved_options;
  BuildInfo build;
};

/// Watches a sweep: implemented by the command line for its progress line.
class SweepObserver {
 public:
  virtual ~SweepObserver() = default;
  virtual void warning(const std::string& message) = 0;
  virtual void group_started(const std::string& name, std::size_t index, std::size_t groups,
                             std::size_t points_done, std::size_t points) = 0;
  /// A step outside the timed region; `of` 0 when its length is not known.
  virtual void step(const std::string& what, std::int64_t done, std::int64_t of) = 0;
  virtual void rounds(const MeterView& view) = 0;
  /// Asked after every round: forming a view costs a sort, so only when one will be shown.
  virtual bool wants_rounds() = 0;
  virtual void group_finished() = 0;
};

struct SweepResult {
  std::size_t points = 0;  ///< asked for, after filters
  std::size_t done_before = 0;
  std::size_t ok = 0, skipped = 0, failed = 0, invalid = 0;
  std::size_t skipped_before = 0;  ///< of done_before
  std::size_t beyond_budget = 0;   ///< not measured: the budget did not reach
  bool interrupted = false;
  /// Latest records of every point asked for, those of earlier runs included, for the table.
  std::vector<nlohmann::ordered_json> records;
};

/// Marks what this build or machine can't do: unknown or missing backend, dtype, memory.
/// @throws BadInput for an unknown backend; Unavailable when nothing of what was asked is left.
void mark_unavailable(std::vector<PlannedGroup>& groups);

/// "bert-base/squad/q27/p293/b1/cpu/f32/t2": the part of the names a group shares.
std::string group_name(const PlannedGroup& group);

/// What a reproducer must repeat of them, e.g. " --max-time 5 --parity off".
std::string common_options(const SweepOptions& options, const MeasureOptions& measure);

/// @throws BadInput for a run file of another build or machine (unless allowed), or any bad input
/// met on the way; what was measured before stays in the file.
SweepResult run_sweep(const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
                      const SweepOptions& options, BenchmarkDriver& driver,
                      SweepObserver& observer);

/// This machine, with the versions of the libraries that the backends use.
Machine this_machine();

/// The `machine` object of a run line, with its deciding fields.
nlohmann::ordered_json machine_json(const Machine& machine);

}  // namespace deformer
