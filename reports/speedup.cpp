#include "reports/speedup.hpp"

#include "reports/report.hpp"

namespace deformer {

Table speedup_table(const std::vector<nlohmann::ordered_json>& records, bool reproducers) {
  std::vector<RecordRow> rows;
  rows.reserve(records.size());
  for (const auto& record : records) rows.push_back(make_row(record, {.command = reproducers}));
  return report_table(std::move(rows), {.commands = reproducers});
}

}  // namespace deformer
