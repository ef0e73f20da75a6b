#pragma once
/// The table of a report made of rows: which rows, which columns, in which order.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reports/record_row.hpp"
#include "reports/table.hpp"

namespace deformer {

struct ReportOptions {
  std::vector<std::string> columns = {};  ///< empty: those worth showing
  std::vector<std::string> sort = {};     ///< columns, "speedup" or "speedup:desc"; empty: by group
  std::vector<std::string> group_by = {};  ///< one row for each combination of these columns
  std::optional<std::pair<std::string, std::string>> pivot = {};  ///< rows, columns: k=variant
  bool commands = false;      ///< list what measures each row again
  bool every_column = false;  ///< all that some row knows: csv, json
};

/// The columns that a report with these options may show, sort by or group by; of a filter, its
/// own.
std::vector<bool> columns_needed(const ReportOptions& options);

/// A condition on rows: `speedup>2`, `batch=1`, `variant!=full` on a column, anything else a
/// regular expression on names. @throws BadInput for a malformed one.
class RowFilter {
 public:
  explicit RowFilter(const std::string& text);
  bool keeps(const RecordRow& row) const;
  std::optional<std::size_t> column() const;  ///< that it looks at

 private:
  struct Parts;
  std::shared_ptr<const Parts> parts_;
};

/// The rows in the order of a report (groups as they first appear, full before decomposed before
/// cached, then by k, or as `sort` says), each with the roof of its full.
/// @throws BadInput for an unknown column.
void order_rows(std::vector<RecordRow>& rows, const ReportOptions& options);

/// Rows that are invalid, unchecked, skipped or failed say so and are in no mean. A geometric-mean
/// row of the speedups of each variant closes the table. Settings that every row shares stand in
/// the title ("cpu f32, 2 threads"); those that differ get a column. Notes begin with the row's
/// number ("#3 ...").
/// @throws BadInput for an unknown column.
Table report_table(std::vector<RecordRow> rows, const ReportOptions& options);

}  // namespace deformer
