#pragma once
/// A history of runs in one file: what was measured at which revision, on which machine.
///
/// Any number of processes may add and read at once. A run is stored whole or not at all; once
/// add() has returned, neither a kill nor a power cut loses it. Trends read columns; the lines of a
/// run file are kept beside them, compressed, and can be had back.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "records/run_file.hpp"
#include "reports/history/database.hpp"

namespace deformer {

/// What the run line does not know.
struct RunOrigin {
  std::string revision = {};            ///< of what was measured; empty: the program's own
  std::optional<std::int64_t> at = {};  ///< seconds since 1970; nothing: when the run started
};

struct AddedRun {
  enum class State {
    added,
    extended,  ///< was there, from before its file was complete
    present,   ///< was there, with all that the file holds
  };
  std::string name;
  std::string revision;
  std::int64_t at = 0;
  std::size_t points = 0;
  State state = State::added;
};

struct HistoryMachine {
  std::int64_t id = 0;
  std::string cpu_model;
  nlohmann::ordered_json body;  ///< as in the run line
};

struct HistoryRun {
  std::int64_t id = 0;
  std::string name, revision;
  std::int64_t at = 0;  ///< seconds since 1970: what a trend is ordered by
  std::int64_t machine = 0;
  std::string build, version;
  std::int64_t records = 0;
};

/// Figures that repeat exactly: name -> value.
using ExactFigures = std::map<std::string, double>;

/// One point in one run.
struct HistoryEntry {
  std::size_t run = 0;  ///< index in the runs that were asked for
  std::string status;
  bool injected = false;
  std::optional<double> median_ns, ci_low_ns, ci_high_ns;
  std::optional<double> ratio, ratio_low, ratio_high;
  std::size_t figures = 0;  ///< index in `HistorySeries::figures`

  bool is_ok() const { return status == "ok" && !injected; }
};

/// One point on one machine, in the order of time. Machines are never joined: what differs between
/// them would look like a change.
struct HistorySeries {
  std::string key, name;
  std::int64_t machine = 0;
  std::vector<HistoryEntry> entries;
  std::vector<ExactFigures> figures;  ///< each set once
};

class History {
 public:
  enum class Access { read, write };

  /// `write` makes a file that is missing, and brings an older layout up to date.
  /// @throws BadInput for another program's file, a damaged one, a newer layout; see schema.hpp.
  History(const std::filesystem::path& path, Access access);

  /// Every run of the file, each in a transaction of its own. Of a file of `gate measure` only
  /// head's records. A run that is there already is not stored twice; when the file holds more of
  /// it by now (it was added before it had ended), the rest is added. `done` is told of each run
  /// when it is on the disk.
  /// @throws BadInput when a record's run line is missing, no revision is known, a run of the same
  /// id with other records or another revision is there, or the file can't be written: what was
  /// told to `done` is stored even then.
  void add(const RunFile& file, const RunOrigin& origin,
           const std::function<void(const AddedRun&)>& done);

  std::vector<HistoryMachine> machines();
  /// In the order of trends: by `at`, then as they were added. The latest `last` of each machine;
  /// 0: all.
  std::vector<HistoryRun> runs(std::size_t last = 0);
  /// Points whose name `wanted` accepts, in the order in which they first came, on each machine.
  std::vector<HistorySeries> series(const std::vector<HistoryRun>& runs,
                                    const std::function<bool(const std::string& name)>& wanted);
  /// The lines of a run as its file held them, each with its newline. @throws BadInput for a run
  /// that is not there, or is damaged.
  std::string lines(const std::string& run_name);

  /// Reads everything and compares: SQLite's own check, references, and that the lines of each run
  /// are what was stored. What is wrong, in words; empty when nothing is.
  std::vector<std::string> damage();

 private:
  Database database_;
};

/// "2026-11-26", "2026-11-26T01:12:59Z", "...+02:00", or seconds since 1970, as seconds since 1970.
/// A date is its midnight, UTC. @throws BadInput naming the option.
std::int64_t parse_instant(const std::string& option, const std::string& text);

/// "2026-11-26 01:12:59", UTC.
std::string instant_text(std::int64_t seconds);

}  // namespace deformer
