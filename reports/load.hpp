#pragma once
/// Run files as the rows of a report.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/record_row.hpp"

namespace deformer {

struct LoadedRows {
  std::vector<std::shared_ptr<const SourceFile>> files;
  std::vector<nlohmann::ordered_json> runs;  ///< run lines of all files, each once
  std::vector<RecordRow> rows;               ///< those shown together, in file order
  std::vector<std::string> machines;         ///< more than one: what tells them apart, in words
};

/// Rows of different machines (only with `allow_mixed`) get their `machine` cell: "1", "2", ... as
/// numbered in `machines`.
/// @throws BadInput as merged_records.
LoadedRows load_rows(const std::vector<std::string>& paths, bool allow_mixed, const RowNeeds& needs,
                     const std::function<void(const std::string&)>& warn);

/// The whole records of these rows, in order.
void read_records(const LoadedRows& loaded, const std::vector<RecordRow>& rows,
                  const std::function<void(std::string_view line)>& take);

/// Where the figures come from: program, runs, machine; one line each.
std::vector<std::string> provenance_of(const LoadedRows& loaded);

}  // namespace deformer
