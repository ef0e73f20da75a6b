#pragma once
/// What was measured once on this machine and is worth remembering: named JSON values, one small
/// file each, in the user's cache folder.
///
/// A value is only ever given back where it was measured. The `identity` (deciding fields of the
/// fingerprint, build, threads ...: whatever the value depends on) is part of the file's name as a
/// digest and stands in the file in full; on loading it must match field by field. Files are
/// written whole or not at all (temporary file, then rename), so that programs that run at the same
/// time never see half of one.
///
///   MachineStore store(machine_store_folder(), identity, warn);
///   if (const auto stored = store.load("roofs")) ...
///   store.save("roofs", json);

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// DEFORMER_BENCH_CACHE_DIR, else $XDG_CACHE_HOME/deformer-bench, else ~/.cache/deformer-bench;
/// relative values of the latter two are ignored, as the XDG specification asks. Empty when there
/// is none of them: a store in the empty folder holds nothing.
std::filesystem::path machine_store_folder();

struct StoredValue {
  nlohmann::ordered_json value;
  std::string saved;  ///< when, UTC: "2026-08-05T09:30:00Z"
};

class MachineStore {
 public:
  using Identity = std::vector<std::pair<std::string, std::string>>;
  using Warn = std::function<void(const std::string&)>;

  /// `warn` is told of files that can't be read, used or written; losing a remembered value is
  /// never an error.
  MachineStore(std::filesystem::path folder, Identity identity, Warn warn);

  /// The value saved under `name` for this identity. nullopt, without a word, when there is none;
  /// nullopt and a warning when the file there is not one of ours, is damaged, or is larger than
  /// anything we write. What the value holds is for the caller to check.
  std::optional<StoredValue> load(std::string_view name) const;

  /// Replaces the value of `name` ("roofs": lower-case letters, digits and dashes). Creates the
  /// folder. Returns whether it is kept; warns when it is not. Never throws for the file's sake.
  bool save(std::string_view name, const nlohmann::ordered_json& value) const;

  /// Where a value of that name lies or would lie; empty in a store without a folder.
  std::filesystem::path file_of(std::string_view name) const;

  /// What it was made of, so that a module can make the same.
  const std::filesystem::path& folder() const { return folder_; }
  const Identity& identity() const { return identity_; }

 private:
  std::filesystem::path folder_;
  Identity identity_;
  Warn warn_;
};

}  // namespace deformer
