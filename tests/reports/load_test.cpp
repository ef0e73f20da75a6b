// Reports read of each record what its row needs. The row must be the one of the whole record.

#include "reports/load.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/reports/generated_run.hpp"
#include "workloads/point.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

/// Records that hold a value for every column.
std::vector<Json> full_records() {
  std::vector<Json> records = GeneratedRuns(8, 5, 1).run(1, 0, 9).records;
  int split = 0;
  for (Json& record : records) {
    Json& point = record["point"];
    for (const auto& [name, value] : {std::pair{"r", Json(2)},
                                      {"c", Json(3)},
                                      {"cold", Json(true)},
                                      {"instances", Json(2)},
                                      {"order", Json("passage-first")},
                                      {"lengths", Json("squad")},
                                      {"text", Json("0123")},
                                      {"cache_at", Json("pinned")},
                                      {"passages", Json(7)}}) {
      point[name] = value;
    }
    if (point["variant"] == "cached") {
      point["split"] = ++split;  // points that differ: of one, the last alone is shown
      point["cache_dtype"] = "bf16";
    }
    record["injected"] = "op=ffn1,slowdown=5%";
    record["achieved"]["arithmetic_by"] = "fma";
    record["achieved"]["fma_fraction"] = 0.5;
    record["time"]["p90"] = 1e6;
    record["time"]["p99"] = 1e6;
    record["time"]["round"] = {0, 1, 2};
    record["key"] = point_key(nlohmann::json(point));
  }
  return records;
}

TEST(LoadRows, ARowReadFromAFileIsTheRowOfTheWholeRecord) {
  const auto path = std::filesystem::temp_directory_path() / ("load-" + std::to_string(getpid()));
  const RunFile run = GeneratedRuns(8, 5, 1).run(1, 0, 9);
  const std::vector<Json> records = full_records();
  std::ofstream file(path);
  file << to_line(run.runs.front()) << '\n';
  for (const Json& record : records) file << to_line(record) << '\n';
  file.close();
  const RowNeeds needs{.command = true};
  const LoadedRows loaded = load_rows({path.string()}, false, needs, [](const std::string&) {});
  std::filesystem::remove(path);
  ASSERT_EQ(loaded.rows.size(), records.size());
  std::vector<bool> known(record_columns().size(), false);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const RecordRow& read = loaded.rows[i];
    const RecordRow whole = make_row(records[i], needs);
    for (std::size_t c = 0; c < record_columns().size(); ++c) {
      EXPECT_EQ(read.cell(c), whole.cell(c)) << record_columns()[c].column.name;
      known[c] = known[c] || whole.cell(c).has_value();
    }
    EXPECT_EQ(read.name, whole.name);
    EXPECT_EQ(read.reproduce, whole.reproduce);
    EXPECT_EQ(read.set, whole.set);
    EXPECT_EQ(read.group, whole.group);
    EXPECT_EQ(read.identity.measurement, whole.identity.measurement);
    EXPECT_EQ(read.identity.versus, whole.identity.versus);
    EXPECT_EQ(read.speedup, whole.speedup);
    EXPECT_EQ(read.roof_fraction, whole.roof_fraction);
  }
  // Filled when rows are put together, from others.
  known[*find_record_column("machine")] = known[*find_record_column("full_roof_fraction")] = true;
  for (std::size_t c = 0; c < known.size(); ++c) {
    EXPECT_TRUE(known[c]) << "no record of this test has " << record_columns()[c].column.name;
  }
}

}  // namespace
}  // namespace deformer
