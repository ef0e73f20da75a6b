#include "reports/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Two events that count, one of the kernel's clock, and one that is missing.
Json counted_record() {
  const auto values = [](double clock_ns, double faults) {
    return Json{{"task_clock", clock_ns}, {"page_faults", faults}, {"cycles", nullptr}};
  };
  const auto metrics = [](double used) {
    return Json{{"processors used", {{"value", used}, {"unit", ""}}},
                {"clock", {{"value", nullptr}, {"unit", "GHz"}}}};
  };
  Json counters;
  counters["events"] = Json::array(
      {{{"name", "task_clock"}, {"unit", "ns"}, {"source", "perf::X"}, {"missing", nullptr}},
       {{"name", "page_faults"}, {"unit", ""}, {"source", "perf::Y"}, {"missing", nullptr}},
       {{"name", "cycles"}, {"unit", ""}, {"source", nullptr}, {"missing", "perf::Z: none"}}});
  counters["multiplexed"] = false;
  counters["trouble"] = nullptr;
  counters["total"] = values(5e6, 3);
  counters["metrics"] = metrics(1.5);
  counters["operations"] =
      Json::array({{{"name", "qkv"}, {"values", values(2e6, 1)}, {"metrics", metrics(1.25)}},
                   {{"name", "ffn1"}, {"values", values(3e6, 2)}, {"metrics", metrics(1.75)}}});
  counters["flops"] = {{"counted", 110.0},
                       {"modelled", 100.0},
                       {"difference", 0.1},
                       {"flagged", true},
                       {"reason", nullptr}};
  return {{"name", "n"}, {"status", "ok"}, {"counters", counters}};
}

std::vector<std::string> texts(const std::vector<Cell>& row) {
  std::vector<std::string> texts;
  for (const Cell& cell : row) {
    texts.push_back(cell.text());
  }
  return texts;
}

TEST(CounterTable, HasARowForEachOperationAndTheTotal) {
  const Table table = counter_table(counted_record());
  ASSERT_EQ(table.columns.size(), 4U) << "missing events and metrics have no column";
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_THAT(texts(table.rows[0]),
              ::testing::ElementsAre("qkv", human_time(2e6), human_rate(1), human_rate(1.25)));
  EXPECT_THAT(texts(table.rows[2]),
              ::testing::ElementsAre("total", human_time(5e6), human_rate(3), human_rate(1.5)));
}

TEST(CounterTable, SaysWhatIsMissingRefusedAndFlagged) {
  Json record = counted_record();
  EXPECT_THAT(counter_table(record).notes, Contains("no cycles: perf::Z: none"));
  EXPECT_THAT(counter_table(record).notes, Contains(HasSubstr("FLAGGED")));
  record["counters"]["trouble"] = "perf::Z: conflict";
  EXPECT_THAT(counter_table(record).notes, Contains(HasSubstr("perf::Z: conflict")));
  record["counters"]["flops"]["flagged"] = false;
  EXPECT_THAT(counter_table(record).notes, ::testing::Not(Contains(HasSubstr("FLAGGED"))));
}

TEST(CounterTable, OfWhatIsNoCounterIsEmpty) {
  for (const Json& hostile : {Json(nullptr), Json(3), Json::array({1, "x"}), Json::object()}) {
    const Table table = counter_table({{"name", "n"}, {"counters", hostile}});
    EXPECT_TRUE(table.rows.empty() && table.notes.empty()) << hostile;
  }
  Json record = counted_record();
  record["counters"]["operations"] = Json::array({3, {{"name", "x"}, {"values", "y"}}});
  EXPECT_EQ(counter_table(record).rows.size(), 3U);
}

TEST(ResourceTable, ShowsMemoryAndWhyThereIsNoEnergy) {
  const Json record{{"name", "n"},
                    {"memory", {{"sampled", {{"rss_peak_bytes", 1 << 20}, {"minor_faults", 12}}}}},
                    {"energy", {{"joules_per_example", nullptr}, {"missing", "no counter"}}}};
  const Table table = resource_table(record);
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0][1].text(), human_bytes(1 << 20));
  EXPECT_EQ(table.rows[1][1].text(), "12");
  EXPECT_THAT(table.notes, ::testing::ElementsAre("no energy: no counter"));
}

TEST(ResourceTable, ShowsThePlannedArenaBesideTheBlockAndBothBooksOfRequestedBytes) {
  const Json record{{"name", "n"},
                    {"cost", {{"bytes_requested", 300}}},
                    {"speedup", {{"requested_reduction", 0.7}}},
                    {"memory",
                     {{"peak_bytes", 64},
                      {"planned_largest_bytes", 96},
                      {"allocated_bytes", 128},
                      {"requested_bytes", 200},
                      {"requested_reduction", 0.65}}}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : resource_table(record).rows) {
    rows.push_back({row[0].text(), row[1].text()});
  }
  const auto less = [](double bytes, double part) {
    return human_bytes(bytes) + " (" + human_percent(part) + " less than full)";
  };
  using Row = std::vector<std::string>;
  EXPECT_THAT(rows, ::testing::ElementsAre(Row{"arena, planned", human_bytes(64)},
                                           Row{"arena, largest plan", human_bytes(96)},
                                           Row{"arena, allocated", human_bytes(128)},
                                           Row{"requested, by the plan", less(300, 0.7)},
                                           Row{"requested, by this backend", less(200, 0.65)}));
}

TEST(KernelTable, ShowsKernelsByPhaseOrWhyThereAreNone) {
  const Json row{{"name", "gemm"}, {"phase", "encode(joint,9..12)"}, {"count", 3}, {"ns", 4200}};
  const Json stray{{"name", "copy"}, {"phase", nullptr}, {"count", 1}, {"ns", 10}};
  const Table table = kernel_table({{"name", "n"}, {"kernels", {{"rows", {row, stray}}}}});
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0][0].text(), "encode(joint,9..12)");
  EXPECT_EQ(table.rows[0][1].text(), "gemm");
  EXPECT_EQ(table.rows[0][3].text(), human_time(4200));
  EXPECT_EQ(table.rows[1][0].text(), "-");
  const Table none =
      kernel_table({{"name", "n"}, {"kernels", {{"rows", nullptr}, {"missing", "no driver"}}}});
  EXPECT_TRUE(none.rows.empty());
  EXPECT_THAT(none.notes, ::testing::ElementsAre("no kernels: no driver"));
  for (const Json& hostile : {Json(nullptr), Json(3), Json{{"rows", {1, "x", Json::object()}}}}) {
    EXPECT_NO_THROW((void)kernel_table({{"name", "n"}, {"kernels", hostile}}));
  }
}

TEST(ProfileTables, HoldCountersOnlyWhereThereAreSome) {
  const auto titles = [](const Json& record) {
    std::string all;
    for (const Table& table : profile_tables(record)) {
      all += table.title + "\n";
    }
    return all;
  };
  EXPECT_THAT(titles(counted_record()), HasSubstr("n: counters"));
  EXPECT_THAT(titles({{"name", "n"}}), ::testing::Not(HasSubstr("counters")));
  EXPECT_THAT(titles({{"name", "n"}}), ::testing::Not(HasSubstr("memory")));
}

}  // namespace
}  // namespace deformer
