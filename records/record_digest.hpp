#pragma once
/// Reading run files too long to be held: of each record only what the reader asks for is kept, and
/// the place where its line stands.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// Where a record's line stands in its file, without the newline.
struct RecordPlace {
  std::int64_t offset = 0;
  std::int64_t length = 0;
};

/// What a reader keeps of a record: derive from it.
class RecordDigest {
 public:
  virtual ~RecordDigest() = default;
};

/// Called for every record on several threads at once; the record is gone afterwards.
using Digester = std::function<std::unique_ptr<RecordDigest>(const nlohmann::ordered_json& record,
                                                             const RecordPlace& place)>;

/// A file that stays open. What can be read only once (a pipe) is copied to a file without a name,
/// which goes when this does.
class SourceFile {
 public:
  /// @throws BadInput when the path is missing, a directory or unreadable, or the copy finds no
  /// room.
  explicit SourceFile(const std::filesystem::path& path);
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;
  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// A run file whose records were digested, in file order.
struct DigestedFile {
  std::filesystem::path path;
  std::shared_ptr<const SourceFile> source;
  std::vector<nlohmann::ordered_json> runs;
  std::vector<std::unique_ptr<RecordDigest>> records;
  std::string torn_tail;  ///< as in RunFile
};

/// Reads and checks every line as read_run_file does, in memory that grows with the digests only.
/// Of a record the digester sees the top-level fields that are `wanted`, arrays in them empty; now
/// and then more of it. @throws BadInput as read_run_file.
DigestedFile digest_run_file(const std::filesystem::path& path,
                             const std::vector<std::string>& wanted, const Digester& digester);

/// The lines at these places, in this order. @throws BadInput when the file has changed since.
void read_lines_at(const SourceFile& file, const std::vector<RecordPlace>& places,
                   const std::function<void(std::string_view line)>& take);

/// Names one measurement among all: digests of (run, set, key). Sixty-four bits: among a million
/// records two different ones share one with a chance of 3e-8.
struct RecordIdentity {
  std::uint64_t key = 0;
  std::uint64_t measurement = 0;
  std::uint64_t versus = 0;  ///< the measurement of `full` its speedup was taken against; 0: none
  std::string run;
};

/// Reads kIdentityFields of the record.
RecordIdentity identity_of(const nlohmann::ordered_json& record);
inline constexpr const char* kIdentityFields[] = {"run", "key", "set", "injected", "speedup"};

/// What of a file decides which of its records are shown.
struct MergeInput {
  std::filesystem::path path;
  const std::vector<nlohmann::ordered_json>* runs = nullptr;
  std::vector<RecordIdentity> records;
};

struct MergedPlace {
  std::size_t file = 0;
  std::size_t record = 0;
};

/// Which records are shown together, in which order: see merged_records. @throws BadInput as there.
std::vector<MergedPlace> merged_order(const std::vector<MergeInput>& files, bool allow_mixed);

}  // namespace deformer
