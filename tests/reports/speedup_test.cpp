#include "reports/speedup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// One group as a sweep leaves it, in no particular order.
std::vector<Json> small_group() {
  return {with_speedup(make_record("cached", 9, 13.6e6), 3.02, 3.23),
          make_record("full", 0, 41.2e6),
          with_speedup(make_record("decomposed", 9, 40.1e6), 1.03, 1.04)};
}

std::vector<std::string> column_names(const Table& table) {
  std::vector<std::string> names;
  for (const Column& column : table.columns) names.push_back(column.name);
  return names;
}

/// The cell of a named column; "(no column)" when it is not shown.
std::string cell(const Table& table, std::size_t row, const std::string& name) {
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].name == name)
      return human_cell(table.columns[i], table.rows.at(row).at(i));
  }
  return "(no column)";
}

/// Texts of a column, top to bottom.
std::vector<std::string> column(const Table& table, const std::string& name) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < table.rows.size(); ++i) texts.push_back(cell(table, i, name));
  return texts;
}

TEST(SpeedupTable, ShowsThroughputWhereInstancesOrRaggedLengthsAreCompared) {
  auto records = small_group();
  for (Json& record : records) {
    record["throughput"] = {{"items_per_s", 48.24}, {"tokens_per_s", 15437.0}};
  }
  EXPECT_THAT(column_names(speedup_table(records, false)), Not(Contains("items_per_s")));
  auto ragged = records;
  ragged[0]["point"]["lengths"] = "uniform:32-320";
  EXPECT_EQ(cell(speedup_table(ragged, false), 0, "tokens_per_s"), "15437");
  records[0]["point"]["instances"] = 2;
  const Table table = speedup_table(records, false);
  EXPECT_EQ(column(table, "items_per_s")[0], "48.2");
  EXPECT_EQ(column(table, "gflops")[0], "100");
  EXPECT_THAT(column(table, "instances"), Contains("2"));
}

TEST(SpeedupTable, ConsoleGolden) {
  const Table table = speedup_table(small_group(), true);
  EXPECT_EQ(print_table(table, TableFormat::console), R"(cpu f32, 2 threads

#  model           task    q    p  k  b  variant      median  95 % interval  speedup  95 % interval  FLOP ratio  efficiency  GFLOP/s  memory  rounds  parity
-  --------------  -----  --  ---  -  -  ----------  -------  -------------  -------  -------------  ----------  ----------  -------  ------  ------  ------
1  bert-base       squad  27  293  -  1  full        41.2 ms   [40.8, 41.6]        -              -           -           -      100  512 MB      22  ok
2  bert-base       squad  27  293  9  1  decomposed  40.1 ms   [39.7, 40.5]    1.03x   [1.02, 1.04]       1.04x      99.0 %      100  512 MB      22  ok
3  bert-base       squad  27  293  9  1  cached      13.6 ms   [13.5, 13.7]    3.02x   [2.99, 3.05]       3.23x      93.5 %      100  512 MB      22  ok
   geometric mean                        decomposed                            1.03x                      1.04x      99.0 %                           of 1
   geometric mean                        cached                                3.02x                      3.23x      93.5 %                           of 1

#1  deformer-bench sweep --variant full
#2  deformer-bench sweep --variant decomposed
#3  deformer-bench sweep --variant cached
)");
}

TEST(SpeedupTable, MarkdownGolden) {
  const Table table = speedup_table(small_group(), false);
  EXPECT_EQ(print_table(table, TableFormat::markdown), R"(**cpu f32, 2 threads**

| # | model | task | q | p | k | b | variant | median | 95 % interval | speedup | 95 % interval | FLOP ratio | efficiency | GFLOP/s | memory | rounds | parity |
| ---: | :--- | :--- | ---: | ---: | ---: | ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- |
| 1 | bert-base | squad | 27 | 293 | - | 1 | full | 41.2 ms | [40.8, 41.6] | - | - | - | - | 100 | 512 MB | 22 | ok |
| 2 | bert-base | squad | 27 | 293 | 9 | 1 | decomposed | 40.1 ms | [39.7, 40.5] | 1.03x | [1.02, 1.04] | 1.04x | 99.0 % | 100 | 512 MB | 22 | ok |
| 3 | bert-base | squad | 27 | 293 | 9 | 1 | cached | 13.6 ms | [13.5, 13.7] | 3.02x | [2.99, 3.05] | 3.23x | 93.5 % | 100 | 512 MB | 22 | ok |
|  | geometric mean |  |  |  |  |  | decomposed |  |  | 1.03x |  | 1.04x | 99.0 % |  |  |  | of 1 |
|  | geometric mean |  |  |  |  |  | cached |  |  | 3.02x |  | 3.23x | 93.5 % |  |  |  | of 1 |
)");
}

TEST(SpeedupTable, VariantsOfAGroupStandTogetherThenBySplit) {
  std::vector<Json> records = {make_record("cached", 10, 1e6), make_record("full", 0, 1e6),
                               make_record("decomposed", 11, 1e6), make_record("cached", 9, 1e6)};
  Json other = make_record("full", 0, 1e6);
  other["group"] = "h";
  records.insert(records.begin() + 1, other);
  const Table table = speedup_table(records, false);
  EXPECT_EQ(column(table, "variant"),
            (std::vector<std::string>{"full", "decomposed", "cached", "cached", "full"}));
  EXPECT_EQ(column(table, "split"), (std::vector<std::string>{"-", "11", "9", "10", "-"}));
  EXPECT_EQ(column(table, "row"), (std::vector<std::string>{"1", "2", "3", "4", "5"}));
}

TEST(SpeedupTable, SharedSettingsStandInTheTitleAndOthersGetAColumn) {
  auto records = small_group();
  EXPECT_EQ(speedup_table(records, false).title, "cpu f32, 2 threads");
  records[0]["point"]["cache_dtype"] = "int8";
  EXPECT_EQ(speedup_table(records, false).title, "cpu f32, int8 cache, 2 threads");
  records[1]["point"]["dtype"] = "bf16";
  records[1]["point"]["threads"] = 1;
  const Table mixed = speedup_table(records, false);
  EXPECT_EQ(mixed.title, "cpu, int8 cache");
  EXPECT_EQ(cell(mixed, 0, "dtype"), "bf16");
  EXPECT_EQ(cell(mixed, 1, "dtype"), "f32");
  EXPECT_EQ(cell(mixed, 0, "threads"), "1");
  EXPECT_EQ(cell(mixed, 0, "backend"), "(no column)");
  EXPECT_EQ(cell(mixed, 0, "cache_dtype"), "(no column)");
}

TEST(SpeedupTable, FieldsLeftOutAtTheirNeutralValueCountAsThatValue) {
  auto records = small_group();
  records[0]["point"]["r"] = 4;
  records[0]["point"]["order"] = "passage-first";
  const Table table = speedup_table(records, false);
  EXPECT_EQ(column(table, "r"), (std::vector<std::string>{"1", "1", "4", "", ""}));
  EXPECT_EQ(cell(table, 0, "order"), "question-first");
  EXPECT_EQ(cell(table, 2, "order"), "passage-first");
  EXPECT_EQ(cell(table, 0, "c"), "(no column)");
  for (Json& record : records) record["point"]["order"] = "passage-first";
  EXPECT_EQ(speedup_table(records, false).title, "cpu f32, 2 threads, passage-first");
}

TEST(SpeedupTable, MeansAreGeometricAndOfOkRowsOnly) {
  const auto cached = [](double speedup) {
    return with_speedup(make_record("cached", 9, 1e6), speedup, 4);
  };
  std::vector<Json> records = {cached(2), cached(8)};
  for (const char* status : {"invalid", "failed", "skipped"}) {
    records.push_back(cached(1000));
    records.back()["status"] = status;
  }
  records.push_back(cached(1000));
  records.back()["parity"] = nullptr;
  records.push_back(cached(1000));
  records.back()["parity"]["ok"] = false;
  const Table table = speedup_table(records, false);
  ASSERT_EQ(table.rows.size(), records.size() + 1);
  const std::size_t mean = records.size();
  EXPECT_EQ(cell(table, mean, "model"), "geometric mean");
  EXPECT_EQ(cell(table, mean, "variant"), "cached");
  EXPECT_EQ(cell(table, mean, "speedup"), "4.00x");
  EXPECT_EQ(cell(table, mean, "flop_ratio"), "4.00x");
  EXPECT_EQ(cell(table, mean, "efficiency"), "100 %");
  EXPECT_EQ(cell(table, mean, "status"), "of 2");
}

TEST(SpeedupTable, NoMeanWithoutASpeedup) {
  EXPECT_EQ(speedup_table({make_record("full", 0, 1e6), make_record("cached", 9, 1e6)}, false)
                .rows.size(),
            2u);
}

TEST(SpeedupTable, RowsThatAreNotOkSayWhyAndShowNoSpeedup) {
  auto records = small_group();
  records[0]["status"] = "invalid";
  records[0]["reason"] = "parity missed";
  records[0]["parity"] = {{"max_abs", 0.314}, {"cosine_min", 0.5}, {"ok", false}};
  records[2]["status"] = "skipped";
  records[2]["reason"] = "needs 12 GB, 4 GB are available";
  records[2]["time"] = nullptr;
  const Table table = speedup_table(records, false);
  EXPECT_EQ(cell(table, 2, "status"), "INVALID max_abs 0.31 cosine 0.5000");
  EXPECT_EQ(cell(table, 2, "speedup"), "-");
  EXPECT_EQ(cell(table, 2, "speedup_interval"), "-");
  EXPECT_EQ(cell(table, 2, "efficiency"), "-");
  EXPECT_EQ(cell(table, 1, "status"), "skipped");
  EXPECT_EQ(cell(table, 1, "median_ns"), "-");
  EXPECT_THAT(table.notes, Contains("#2 skipped: needs 12 GB, 4 GB are available"));
  EXPECT_THAT(table.notes, Contains("#3 invalid: parity missed"));
}

TEST(SpeedupTable, UncheckedAndUnjudgedRowsAreMarked) {
  auto records = small_group();
  records[0]["parity"] = nullptr;
  records[1]["parity"]["ok"] = nullptr;
  const Table table = speedup_table(records, false);
  EXPECT_EQ(cell(table, 2, "status"), "unchecked");
  EXPECT_EQ(cell(table, 0, "status"), "not judged max_abs 1e-05 cosine 1.0000");
  EXPECT_THAT(table.notes, Contains(HasSubstr("unchecked: ")));
}

TEST(SpeedupTable, RowsTheTimeRanOutForAreStarred) {
  auto records = small_group();
  EXPECT_THAT(speedup_table(records, false).notes, Not(Contains(HasSubstr("ran out"))));
  records[0]["time"]["stopped"] = "time";
  const Table table = speedup_table(records, false);
  EXPECT_EQ(cell(table, 2, "rounds"), "22*");
  EXPECT_EQ(cell(table, 1, "rounds"), "22");
  EXPECT_THAT(table.notes, Contains(HasSubstr("* the time ran out")));
}

TEST(SpeedupTable, DiscardedRoundsAreCountedOnceASet) {
  auto records = small_group();
  EXPECT_THAT(speedup_table(records, false).notes, Not(Contains(HasSubstr("discarded"))));
  for (Json& record : records) record["time"]["discarded"] = 3;
  EXPECT_THAT(speedup_table(records, false).notes, Contains(HasSubstr("3 rounds discarded")));
  records[0]["set"] = "another";
  EXPECT_THAT(speedup_table(records, false).notes, Contains(HasSubstr("6 rounds discarded")));
  for (Json& record : records) record["time"]["clock"] = "device";
  EXPECT_THAT(
      speedup_table(records, false).notes,
      Contains(HasSubstr("6 rounds discarded: heat or hardware protection held the device")));
}

TEST(SpeedupTable, EverySpeedupRowShowsTheRoofOfItsFull) {
  auto records = small_group();
  EXPECT_THAT(column_names(speedup_table(records, false)), Not(Contains("full_roof_fraction")));
  records[1]["achieved"]["roof_fraction"] = 0.815;
  records[0]["achieved"]["roof_fraction"] = 0.2;
  EXPECT_EQ(column(speedup_table(records, false), "full_roof_fraction"),
            (std::vector<std::string>{"81.5 %", "81.5 %", "81.5 %", "", ""}));
  records[1]["set"] = "another";  // not the full it was measured with
  EXPECT_EQ(cell(speedup_table(records, false), 2, "full_roof_fraction"), "-");
}

TEST(SpeedupTable, ReproducersFollowOnlyWhenAsked) {
  EXPECT_THAT(speedup_table(small_group(), true).commands,
              Contains("#3  deformer-bench sweep --variant cached"));
  EXPECT_TRUE(speedup_table(small_group(), false).commands.empty());
}

/// Every way to spoil one field of a record.
std::vector<Json> spoilt(const Json& record) {
  const Json flat = record.flatten();
  std::vector<Json> results;
  for (const auto& [path, value] : flat.items()) {
    for (const Json& bad : {Json(nullptr), Json("text"), Json(-1), Json::array({1}), Json(1e308),
                            Json(std::numeric_limits<double>::quiet_NaN()), Json(true)}) {
      Json copy = record;
      copy[Json::json_pointer(path)] = bad;
      results.push_back(copy);
    }
  }
  return results;
}

TEST(SpeedupTable, SpoiltFieldsNeverThrowNorPrintNaN) {
  for (const Json& record : spoilt(small_group()[0])) {
    for (const TableFormat format : {TableFormat::console, TableFormat::markdown}) {
      const std::string out =
          print_table(speedup_table({record, make_record("full", 0, 1e6)}, true), format);
      EXPECT_THAT(out, Not(HasSubstr("nan"))) << record.dump();
      EXPECT_THAT(out, Not(HasSubstr("inf"))) << record.dump();
    }
  }
}

TEST(SpeedupTable, RecordsThatHoldNothingPrintDashes) {
  const Table table =
      speedup_table({Json::object(), Json(nullptr), Json::array({1}), Json(3)}, true);
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(cell(table, 0, "model"), "-");
  EXPECT_EQ(cell(table, 0, "median_ns"), "-");
  EXPECT_EQ(cell(table, 3, "status"), "no status");
  EXPECT_EQ(speedup_table({}, true).rows.size(), 0u);
}

TEST(SpeedupTable, AHostileNameStaysInItsCell) {
  auto records = small_group();
  records[0]["point"]["model"] = "a|b\n| c <b>`";
  const std::string out = print_table(speedup_table(records, false), TableFormat::markdown);
  EXPECT_THAT(out, HasSubstr("| a\\|b\\\\n\\| c &lt;b&gt;\\` |"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'),
            9);  // title, blank, 2 of header, 3 rows, 2 means
}

}  // namespace
}  // namespace deformer
