#pragma once
/// The run file: JSON Lines, append-only, locked while written. Lines are of type run, record and
/// end; their fields are in the interface (schema 1). See records/run_file.cpp for what is checked.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

inline constexpr int kRunFileSchema = 1;

/// What a run file holds, in file order.
struct RunFile {
  std::filesystem::path path;
  std::vector<nlohmann::ordered_json> runs;     ///< type run
  std::vector<nlohmann::ordered_json> records;  ///< type record
  std::vector<nlohmann::ordered_json> ends;     ///< type end
  std::string torn_tail;        ///< warning naming file and line when its end is torn; else empty
  std::int64_t good_bytes = 0;  ///< length without the torn end
};

/// Reads and checks every line. An empty file is a run file without lines.
/// A torn end is reported in torn_tail and left out: a last line without a newline, and records at
/// the end that are fewer than the `set_size` they carry (a set is whole or not there; see
/// RunWriter::append). @throws BadInput naming file, line and field for everything else that is
/// malformed: not JSON, not an object, unknown type, another schema, a missing or mistyped field, a
/// duplicate id; and when the path is missing, a directory or unreadable.
RunFile read_run_file(const std::filesystem::path& path);

/// Latest record of each key (the latest set wins: a later line replaces an earlier one), in order
/// of first appearance. It wins whatever its status.
std::vector<nlohmann::ordered_json> latest_records(const RunFile& file);
/// The same without copying: the records are taken out of the file.
std::vector<nlohmann::ordered_json> latest_records(RunFile&& file);

/// Records to show together: the latest of each key, and, in front of a variant whose speedup was
/// taken against a `full` of an older set, that `full` too (told apart by `run` and `set`): a ratio
/// stands beside the medians it came from. Several files merge in the order given; a measurement
/// (run, set, key) that an earlier file holds is dropped. Records whose run line is missing are not
/// held against any machine.
/// @throws BadInput naming the difference when the runs' deciding machine fields differ, unless
/// `allow_mixed`.
std::vector<nlohmann::ordered_json> merged_records(const std::vector<RunFile>& files,
                                                   bool allow_mixed);
/// The same without copying: the records are taken out of the files.
std::vector<nlohmann::ordered_json> merged_records(std::vector<RunFile>&& files, bool allow_mixed);

/// The `machine` object of a run line -> its deciding fields ("deciding": {...} inside it).
std::map<std::string, std::string> deciding_of_run(const nlohmann::ordered_json& run);

/// "cpu_model: 'A' in FILE1, 'B' here" for each difference, by "; "; empty when none. The places
/// name where either side was found.
std::string describe_differences(const std::map<std::string, std::string>& before,
                                 const std::map<std::string, std::string>& now,
                                 const std::string& before_place = "in the run file",
                                 const std::string& now_place = "here");

/// Appends to a run file. Holds an exclusive lock (flock) from construction to destruction.
class RunWriter {
 public:
  /// Opens or creates, locks, reads what is there, cuts off a torn tail (reported in
  /// existing().torn_tail).
  /// @throws BadInput when the path is a directory, read-only, locked by another run (says so), in
  /// a folder that does not exist, or malformed. Nothing is written in these cases.
  explicit RunWriter(const std::filesystem::path& path);
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  /// What was in the file when it was opened.
  const RunFile& existing() const { return existing_; }

  /// Writes the lines together with one write and syncs to disk. Every value is checked: a NaN or
  /// an infinity anywhere is written as null. On a full disk the file is cut back to its length
  /// before the call, so nothing torn remains. @throws std::system_error with the path when writing
  /// fails, and std::logic_error, with nothing written, for a line that read_run_file would refuse.
  ///
  /// A kill amid a write of several lines may leave some of them whole. So each record of a set
  /// (`set` not null) should carry `"set_size"`, the number of records with that `run` and `set` in
  /// this call, next to each other: fewer than that at the end of the file are then known to be
  /// torn, and are cut off.
  void append(const std::vector<nlohmann::ordered_json>& lines);

 private:
  std::filesystem::path path_;
  RunFile existing_;
  int descriptor_ = -1;
};

/// One line of JSON without a newline; NaN and infinities become null; invalid UTF-8 becomes
/// U+FFFD.
std::string to_line(const nlohmann::ordered_json& json);

}  // namespace deformer
