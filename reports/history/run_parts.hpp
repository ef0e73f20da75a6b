#pragma once
/// A run file taken apart into its runs. Internal to reports/history/.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "records/run_file.hpp"

namespace deformer {

/// The lines of one run within its file, which must outlive this.
struct RunParts {
  const nlohmann::ordered_json* run = nullptr;
  std::vector<const nlohmann::ordered_json*> records;
  const nlohmann::ordered_json* end = nullptr;

  /// As the file has them.
  std::string text() const;
  /// What a trend shows of each point: the latest record; where a gate measured it in several
  /// processes, the one whose median is the middle of theirs. Records of a gate's base are left
  /// out.
  std::vector<const nlohmann::ordered_json*> shown() const;
  /// Of a gate, where base has a run line of its own.
  bool is_of_base() const;
};

/// @throws BadInput for a record whose run line is not there.
std::vector<RunParts> parts_of(const RunFile& file);

}  // namespace deformer
