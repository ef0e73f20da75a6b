#include <algorithm>

#include <gmock/gmock.h>

#include "model/error.hpp"
#include "records/run_file.hpp"
#include "tests/records/fixtures.hpp"

namespace deformer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunFile file_of(const std::string& path, std::vector<Json> runs, std::vector<Json> records) {
  RunFile file;
  file.path = path;
  file.runs = std::move(runs);
  file.records = std::move(records);
  return file;
}

/// "variant set median" of each.
std::vector<std::string> summary(const std::vector<Json>& records) {
  std::vector<std::string> lines;
  for (const Json& record : records)
    lines.push_back(record["point"]["variant"].get<std::string>() + " " +
                    record["set"].get<std::string>() + " " + record["time"]["median"].dump());
  return lines;
}

TEST(LatestRecords, ALaterLineReplacesAnEarlierOneInItsPlace) {
  auto failed = record_of("r2", "s2", "full", 5);
  failed["status"] = "failed";
  const RunFile file =
      file_of("a", {},
              {record_of("r1", "s1", "full", 1), record_of("r1", "s1", "cached", 2),
               record_of("r2", "s2", "cached", 3), failed});
  EXPECT_THAT(summary(latest_records(file)), ElementsAre("full s2 5.0", "cached s2 3.0"));
  EXPECT_EQ(latest_records(file)[0]["status"], "failed");
}

TEST(MergedRecords, AVariantMeasuredLaterBringsTheFullOfItsOwnSet) {
  // The sweep was run again with one variant more: full was measured again with it.
  const RunFile file =
      file_of("a", {},
              {record_of("r1", "s1", "full", 100), record_of("r1", "s1", "decomposed", 50),
               record_of("r2", "s2", "full", 110), record_of("r2", "s2", "cached", 40)});
  const auto merged = merged_records({file}, false);
  EXPECT_THAT(summary(merged), ElementsAre("full s2 110.0", "full s1 100.0", "decomposed s1 50.0",
                                           "cached s2 40.0"));
}

TEST(MergedRecords, EveryRatioShownStandsBesideTheFullItWasTakenAgainst) {
  // Sets are numbered within a run: the same number in another run is another set.
  const RunFile file =
      file_of("a", {},
              {record_of("r1", "1", "full", 100), record_of("r1", "1", "decomposed", 50),
               record_of("r2", "1", "full", 110), record_of("r2", "1", "cached", 40)});
  const auto merged = merged_records({file}, false);
  for (const Json& record : merged) {
    if (record["speedup"].is_null()) continue;
    const Json& versus = record["speedup"]["versus"];
    EXPECT_EQ(std::ranges::count_if(merged,
                                    [&](const Json& other) {
                                      return other["key"] == versus["key"] &&
                                             other["set"] == versus["set"] &&
                                             other["run"] == record["run"];
                                    }),
              1);
  }
  EXPECT_EQ(merged.size(), 4u);
}

TEST(MergedRecords, WhereOneSetHoldsAllItAloneIsShown) {
  auto records = set_of("r1", "s1");
  for (Json& record : set_of("r2", "s2")) records.push_back(record);
  const auto merged = merged_records({file_of("a", {}, records)}, false);
  ASSERT_EQ(merged.size(), 3u);
  for (const Json& record : merged) EXPECT_EQ(record["set"], "s2");
}

TEST(MergedRecords, AnOlderCopyOfAFileChangesNothing) {
  const std::vector<Json> old = {record_of("r1", "s1", "full", 100)};
  std::vector<Json> now = old;
  now.push_back(record_of("r2", "s1", "full", 110));
  const RunFile resumed = file_of("new", {run_line("r1"), run_line("r2")}, now);
  const RunFile copy = file_of("old", {run_line("r1")}, old);
  EXPECT_THAT(summary(merged_records({resumed, copy}, false)), ElementsAre("full s1 110.0"));
  EXPECT_THAT(summary(merged_records({copy, resumed}, false)), ElementsAre("full s1 110.0"));
}

TEST(MergedRecords, MachinesThatDifferAreRefusedByNameUnlessMixingIsAllowed) {
  const RunFile a = file_of("a.jsonl", {run_line("r1", {{"cpu_model", "A"}, {"cores", "2"}})},
                            {record_of("r1", "s1", "full")});
  const RunFile b = file_of("b.jsonl", {run_line("r2", {{"cpu_model", "B"}, {"cores", "2"}})},
                            {record_of("r2", "s1", "full", 100, 28)});
  EXPECT_THAT(message_of<BadInput>([&] {
                merged_records({a, b}, false);
              }),
              AllOf(HasSubstr("cpu_model: 'A' in a.jsonl, 'B' in b.jsonl"),
                    HasSubstr("--allow-mixed"), Not(HasSubstr("cores"))));
  EXPECT_EQ(merged_records({a, b}, true).size(), 2u);
}

TEST(MergedRecords, AMachineWhoseRecordsAreAllReplacedIsNotCompared) {
  const RunFile file = file_of(
      "a.jsonl", {run_line("r1", {{"cpu_model", "A"}}), run_line("r2", {{"cpu_model", "B"}})},
      {record_of("r1", "s1", "full", 1), record_of("r2", "s2", "full", 2)});
  EXPECT_THAT(summary(merged_records({file}, false)), ElementsAre("full s2 2.0"));
}

TEST(DescribeDifferences, NamesWhatDiffersAndWhatOneSideLacks) {
  EXPECT_EQ(describe_differences({{"a", "1"}}, {{"a", "1"}}), "");
  EXPECT_EQ(describe_differences({{"a", "1"}, {"b", "2"}}, {{"a", "3"}}, "in F", "here"),
            "a: '1' in F, '3' here; b: '2' in F, not given here");
}

}  // namespace
}  // namespace deformer::testing
