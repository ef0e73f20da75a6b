/// The history: what is added is there once and whole; other files are refused; old layouts
/// migrate.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "model/error.hpp"
#include "model/sha256.hpp"
#include "reports/history/changes.hpp"
#include "reports/history/compression.hpp"
#include "reports/history/history.hpp"
#include "reports/history/schema.hpp"
#include "reports/history/views.hpp"
#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Json run_line(const std::string& id, const std::string& cpu = "A", int day = 1) {
  return {{"type", "run"},
          {"schema", 1},
          {"id", id},
          {"started",
           "2026-01-" + std::string(day < 10 ? "0" : "") + std::to_string(day) + "T12:00:00Z"},
          {"version", "0.1.0"},
          {"revision", "r" + id},
          {"build", "b" + id},
          {"machine", {{"cpu_model", cpu}, {"cores", 2}, {"deciding", {{"cpu_model", cpu}}}}}};
}

Json record_of(const std::string& run, double median_ns, const std::string& variant = "cached") {
  Json record = with_speedup(make_record(variant, 9, median_ns), 3.0, 3.2);
  record["run"] = run;
  record["set"] = run + "-1";
  record["cost"] = {{"flops", 1000.0}, {"bytes_weights", 64.0}};
  return record;
}

RunFile file_of(std::vector<Json> runs, std::vector<Json> records) {
  RunFile file;
  file.path = "made.jsonl";
  file.runs = std::move(runs);
  file.records = std::move(records);
  return file;
}

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string form = (std::filesystem::temp_directory_path() / "history-XXXXXX").string();
    folder_ = mkdtemp(form.data());
    path_ = folder_ / "h.sqlite";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<AddedRun> add(const RunFile& file, const RunOrigin& origin = {}) {
    std::vector<AddedRun> added;
    History(path_, History::Access::write).add(file, origin, [&](const AddedRun& run) {
      added.push_back(run);
    });
    return added;
  }
  std::vector<HistorySeries> all_series() {
    History history(path_, History::Access::read);
    return history.series(history.runs(), [](const std::string&) { return true; });
  }
  std::string failure(const std::function<void()>& act) {
    try {
      act();
    } catch (const BadInput& error) {
      return error.what();
    }
    return "no error";
  }
  void write_file(const std::string& content) { std::ofstream(path_, std::ios::binary) << content; }

  std::filesystem::path folder_, path_;
};

TEST_F(HistoryTest, WhatWasAddedComesBackAsItWas) {
  const RunFile file = file_of({run_line("1")}, {record_of("1", 100), record_of("1", 300, "full")});
  const auto added = add(file);
  ASSERT_THAT(added, SizeIs(1));
  EXPECT_EQ(added[0].points, 2u);
  EXPECT_EQ(added[0].revision, "r1");
  History history(path_, History::Access::read);
  EXPECT_EQ(history.lines("1"), to_line(file.runs[0]) + '\n' + to_line(file.records[0]) + '\n' +
                                    to_line(file.records[1]) + '\n');
  const auto series = all_series();
  ASSERT_THAT(series, SizeIs(2));
  const HistoryEntry& entry = series[0].entries[0];
  EXPECT_EQ(entry.median_ns, 100);
  EXPECT_EQ(entry.ci_low_ns, 99);
  EXPECT_EQ(entry.ratio, 3.0);
  EXPECT_EQ(series[0].figures[entry.figures].at("flops"), 1000);
  EXPECT_THAT(history.damage(), IsEmpty());
}

TEST_F(HistoryTest, AddingARunAgainChangesNothing) {
  const RunFile file = file_of({run_line("1")}, {record_of("1", 100)});
  add(file);
  EXPECT_EQ(add(file)[0].state, AddedRun::State::present);
  EXPECT_EQ(History(path_, History::Access::read).runs().size(), 1u);
  EXPECT_THAT(all_series()[0].entries, SizeIs(1));
}

TEST_F(HistoryTest, ARunAddedBeforeItEndedIsExtended) {
  add(file_of({run_line("1")}, {record_of("1", 100)}));
  const RunFile longer =
      file_of({run_line("1")}, {record_of("1", 100), record_of("1", 300, "full")});
  EXPECT_EQ(add(longer)[0].state, AddedRun::State::extended);
  EXPECT_THAT(all_series(), SizeIs(2));
  // The shorter file again: what it holds is there.
  EXPECT_EQ(add(file_of({run_line("1")}, {record_of("1", 100)}))[0].state,
            AddedRun::State::present);
  EXPECT_THAT(all_series(), SizeIs(2));
}

TEST_F(HistoryTest, OtherRecordsUnderTheSameIdAreRefused) {
  add(file_of({run_line("1")}, {record_of("1", 100)}));
  EXPECT_THAT(failure([&] { add(file_of({run_line("1")}, {record_of("1", 101)})); }),
              HasSubstr("is there with other records"));
  EXPECT_THAT(
      failure([&] { add(file_of({run_line("1")}, {record_of("1", 100)}), {.revision = "other"}); }),
      HasSubstr("expected the same, found 'other'"));
  EXPECT_EQ(all_series()[0].entries[0].median_ns, 100);
}

TEST_F(HistoryTest, ARecordWithoutItsRunLineStoresNothing) {
  EXPECT_THAT(failure([&] {
                add(file_of({run_line("1")}, {record_of("1", 100), record_of("2", 100)}));
              }),
              HasSubstr("expected the run line of run '2'"));
  EXPECT_THAT(History(path_, History::Access::read).runs(), IsEmpty());
}

TEST_F(HistoryTest, TheLatestRecordOfAPointCounts) {
  add(file_of({run_line("1")}, {record_of("1", 100), record_of("1", 120)}));
  EXPECT_EQ(all_series()[0].entries[0].median_ns, 120);
}

TEST_F(HistoryTest, OfAGateHeadsMiddleProcessCounts) {
  std::vector<Json> records;
  int process = 0;
  for (const double median : {130.0, 110.0, 120.0}) {
    Json base = record_of("1", 500);
    base["gate"] = {{"side", "base"}, {"process", process}};
    Json head = record_of("1", median);
    head["gate"] = {{"side", "head"}, {"process", process++}};
    records.push_back(base);
    records.push_back(head);
  }
  add(file_of({run_line("1")}, records));
  ASSERT_THAT(all_series(), SizeIs(1));
  EXPECT_EQ(all_series()[0].entries[0].median_ns, 120);
}

TEST_F(HistoryTest, ARunOfBaseAloneIsNotHeads) {
  Json base = record_of("1", 500);
  base["gate"] = {{"side", "base"}, {"process", 0}};
  EXPECT_THAT(add(file_of({run_line("1")}, {base})), IsEmpty());
}

TEST_F(HistoryTest, MachinesAreNeverJoined) {
  for (int day = 1; day <= 20; ++day) {
    const std::string id = std::to_string(day);
    // One machine twice as slow, their runs mixed: no change on either.
    add(file_of({run_line(id, day % 2 == 0 ? "A" : "B", day)},
                {record_of(id, day % 2 == 0 ? 100 + day % 3 : 200 + day % 3)}));
  }
  const auto series = all_series();
  ASSERT_THAT(series, SizeIs(2));
  EXPECT_THAT(series[0].entries, SizeIs(10));
  std::size_t too_small = 0;
  EXPECT_THAT(find_changes(series, {}, too_small), IsEmpty());
}

TEST_F(HistoryTest, TrendsAreInTheOrderOfDatesNotOfAdding) {
  for (const int day : {9, 3, 6}) {
    const std::string id = std::to_string(day);
    add(file_of({run_line(id, "A", day)}, {record_of(id, day)}));
  }
  add(file_of({run_line("x", "A", 30)}, {record_of("x", 1)}),
      {.at = parse_instant("--date", "2026-01-01")});
  std::vector<double> medians;
  for (const HistoryEntry& entry : all_series()[0].entries) medians.push_back(*entry.median_ns);
  EXPECT_THAT(medians, ElementsAre(1, 3, 6, 9));
  EXPECT_THAT(History(path_, History::Access::read).runs(2), SizeIs(2));
}

TEST_F(HistoryTest, ALevelThatRisesIsFoundAndSaidExactly) {
  for (int day = 1; day <= 30; ++day) {
    const std::string id = std::to_string(day);
    Json record = record_of(id, (day < 20 ? 100.0 : 105.0) + 0.1 * (day * 7 % 5));
    if (day >= 25) record["cost"]["flops"] = 1020.0;
    add(file_of({run_line(id, "A", day)}, {record}));
  }
  History history(path_, History::Access::read);
  HistoryView view{history.machines(), history.runs(), all_series(), {}};
  std::size_t too_small = 0;
  view.changes = find_changes(view.series, {}, too_small);
  ASSERT_THAT(view.changes, SizeIs(2));
  EXPECT_EQ(change_words(view.changes[0]), "1.05x slower");
  EXPECT_EQ(view.run_of(view.series[0], view.changes[0].entry).revision, "r20");
  EXPECT_EQ(view.run_of(view.series[0], view.changes[0].before).revision, "r19");
  EXPECT_EQ(view.changes[1].metric, "flops");
  EXPECT_EQ(change_words(view.changes[1]), "1.02x more");
  EXPECT_TRUE(view.changes[1].is_exact());
  const std::string text = print_table(changes_table(view), TableFormat::markdown);
  EXPECT_THAT(text, HasSubstr("1.05x slower"));
  const auto figures = trend_figures(view, "time");
  ASSERT_THAT(figures, SizeIs(1));
  EXPECT_THAT(terminal_plot(figures[0]), HasSubstr("since r20: 1.05x slower"));
  EXPECT_THAT(svg_plot(figures[0]), HasSubstr("</svg>"));
}

TEST_F(HistoryTest, WhatIsNotAMeasurementIsInNoLevel) {
  for (int day = 1; day <= 20; ++day) {
    const std::string id = std::to_string(day);
    Json record = record_of(id, day < 10 ? 100 + day % 2 : 200 + day % 2);
    if (day >= 10) record["injected"] = "op=ffn1,slowdown=100%";
    if (day == 3) record["parity"]["ok"] = false;
    add(file_of({run_line(id, "A", day)}, {record}));
  }
  const auto series = all_series();
  EXPECT_EQ(series_values(series[0], "time").values.size(), 8u);
  EXPECT_EQ(series[0].entries[2].status, "invalid");
  std::size_t too_small = 0;
  EXPECT_THAT(find_changes(series, {}, too_small), IsEmpty());
}

TEST_F(HistoryTest, HostileNamesStayInTheirPlace) {
  Json record = record_of("1", 100);
  record["name"] = "a'); DROP TABLE run; -- | <b>\n";
  Json run = run_line("1");
  run["revision"] = "x'\"; -- \x1b[31m";
  add(file_of({run}, {record}));
  History history(path_, History::Access::read);
  EXPECT_EQ(all_series()[0].name, "a'); DROP TABLE run; -- | <b>\n");
  HistoryView view{history.machines(), history.runs(), all_series(), {}};
  EXPECT_THAT(print_table(trend_table(view, {}), TableFormat::console),
              testing::Not(HasSubstr("\x1b")));
}

// --- files that are no history
// --------------------------------------------------------------------

TEST_F(HistoryTest, OtherFilesAreRefusedAndLeftAlone) {
  const std::string text = "{\"type\":\"run\"}\n" + std::string(2000, 'x');
  write_file(text);
  for (const auto access : {History::Access::read, History::Access::write}) {
    EXPECT_THAT(failure([&] { History(path_, access); }), HasSubstr("is this another file?"));
  }
  std::stringstream now;
  now << std::ifstream(path_).rdbuf();
  EXPECT_EQ(now.str(), text);
}

TEST_F(HistoryTest, AnotherProgramsDatabaseIsRefusedAndLeftAlone) {
  {
    Database other(path_, Database::Mode::write);
    other.run("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
  }
  for (const auto access : {History::Access::read, History::Access::write}) {
    EXPECT_THAT(failure([&] { History(path_, access); }), HasSubstr("another program's database"));
  }
  Database other(path_, Database::Mode::read);
  EXPECT_EQ(other.text_of("PRAGMA journal_mode"), "delete");
  EXPECT_EQ(other.number_of("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(HistoryTest, ANewerLayoutIsRefused) {
  add(file_of({run_line("1")}, {record_of("1", 100)}));
  {
    Database newer(path_, Database::Mode::write);
    newer.run("PRAGMA user_version = 3");
  }
  for (const auto access : {History::Access::read, History::Access::write}) {
    EXPECT_THAT(failure([&] { History(path_, access); }), HasSubstr("a newer deformer-bench"));
  }
}

TEST_F(HistoryTest, AMissingFileAndAFolderAreNamed) {
  EXPECT_THAT(failure([&] { History(path_, History::Access::read); }), HasSubstr("no such file"));
  EXPECT_THAT(failure([&] { History(folder_, History::Access::write); }),
              HasSubstr("found a directory"));
  EXPECT_THAT(failure([&] { History(folder_ / "no" / "h", History::Access::write); }),
              HasSubstr("unable to open"));
}

TEST_F(HistoryTest, DamageIsFoundWhereverItIs) {
  std::vector<Json> records;
  for (int i = 0; i < 60; ++i) {
    records.push_back(record_of("1", 100 + i));
    records.back()["key"] = "key" + std::to_string(i);
  }
  add(file_of({run_line("1")}, records));
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path_));
  std::stringstream good;
  good << std::ifstream(path_, std::ios::binary).rdbuf();
  int found = 0;
  int pages = 0;
  for (std::streamoff at = 0; at < size; at += 4096, ++pages) {
    std::string bad = good.str();
    for (std::size_t i = 0; i < 300; ++i) bad[static_cast<std::size_t>(at) + i * 13] ^= '\x5a';
    write_file(bad);
    std::string what = failure([&] {
      History history(path_, History::Access::read);
      for (const std::string& line : history.damage()) throw BadInput(line);
    });
    found += what != "no error" ? 1 : 0;
  }
  EXPECT_GT(pages, 8);
  EXPECT_EQ(found, pages);
}

TEST_F(HistoryTest, AReadOnlyFolderCanBeRead) {
  add(file_of({run_line("1")}, {record_of("1", 100)}));
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-wal"));  // one file, to keep or to send
  all_series();
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-wal"));
}

TEST_F(HistoryTest, LinesThatAreNotWhatWasStoredAreRefused) {
  EXPECT_THAT(failure([] { (void)decompressed("garbage", 100, "x"); }), HasSubstr("x: the stored"));
  const std::string body = compressed(std::string(1000, 'a'));
  EXPECT_THAT(failure([&] { (void)decompressed(body, 999, "x"); }), HasSubstr("damaged"));
  EXPECT_EQ(decompressed(body, 1000, "x"), std::string(1000, 'a'));
  std::string torn = body.substr(0, body.size() - 3);
  EXPECT_THAT(failure([&] { (void)decompressed(torn, 1000, "x"); }), HasSubstr("damaged"));
}

// --- layouts and writers
// --------------------------------------------------------------------------

/// A history as version 1 had it: the figures in the measurements, the lines in the runs.
void make_version_1(const std::filesystem::path& path, const std::string& sql_path) {
  std::stringstream sql;
  sql << std::ifstream(sql_path).rdbuf();
  Database old(path, Database::Mode::write);
  old.run(sql.str());
  const std::string text = to_line(run_line("old")) + '\n' + to_line(record_of("old", 100)) + '\n';
  Statement lines =
      old.prepare("UPDATE run SET bytes = ?, body = ?, digest = ? WHERE name = 'old'");
  lines.bind(1, static_cast<std::int64_t>(text.size())).bind_blob(2, compressed(text));
  lines.bind(3, sha256_hex(text)).run();
}

TEST_F(HistoryTest, Version1Migrates) {
  make_version_1(path_, std::string(DEFORMER_TEST_DATA) + "/history/version_1.sql");
  EXPECT_THAT(failure([&] { History(path_, History::Access::read); }),
              HasSubstr("gate history migrate --db"));
  add(file_of({run_line("new", "A", 5)}, {record_of("new", 110)}));
  {
    Database database(path_, Database::Mode::read);
    EXPECT_EQ(database.number_of("PRAGMA user_version"), kHistoryVersion);
  }
  const auto series = all_series();
  ASSERT_THAT(series, SizeIs(2));  // "full" of the old run, and the point that both have
  const auto both = std::ranges::find_if(
      series, [](const HistorySeries& one) { return one.entries.size() == 2; });
  ASSERT_NE(both, series.end());
  EXPECT_EQ(both->entries[0].median_ns, 100);
  EXPECT_EQ(both->figures[both->entries[0].figures].at("flops"), 1000);
  EXPECT_EQ(both->figures[both->entries[0].figures].count("bytes_requested"), 0u);  // was null
  History history(path_, History::Access::read);
  EXPECT_THAT(history.lines("old"), HasSubstr("\"id\":\"old\""));
  EXPECT_EQ(history.runs()[0].revision, "abc");
}

TEST_F(HistoryTest, AMigratedHistoryHasTheLayoutOfANewOne) {
  make_version_1(path_, std::string(DEFORMER_TEST_DATA) + "/history/version_1.sql");
  { const History migrated(path_, History::Access::write); }
  const std::filesystem::path fresh_path = folder_ / "fresh.sqlite";
  { const History fresh(fresh_path, History::Access::write); }
  const auto layout = [](const std::filesystem::path& path) {
    Database database(path, Database::Mode::read);
    Statement read =
        database.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY 1");
    std::vector<std::string> all;
    while (read.step()) all.push_back(read.text(0));
    return all;
  };
  EXPECT_EQ(layout(path_), layout(fresh_path));
}

TEST_F(HistoryTest, EightThreadsThatMakeAndFillItLoseNothing) {
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        try {
          add(file_of({run_line(id)}, {record_of(id, 100 + i)}));
        } catch (const std::exception& error) {
          ++failures;
          ADD_FAILURE() << error.what();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  History history(path_, History::Access::read);
  EXPECT_THAT(history.runs(), SizeIs(160));
  EXPECT_THAT(history.damage(), IsEmpty());
}

TEST_F(HistoryTest, AReaderGoesOnWhileAWriterHoldsTheLock) {
  add(file_of({run_line("1")}, {record_of("1", 100)}));
  Database writer(path_, Database::Mode::write);
  Transaction transaction(writer);
  writer.run("DELETE FROM measurement");
  EXPECT_THAT(all_series(), SizeIs(1));
}

TEST(Instants, AreReadAsGitWritesThem) {
  EXPECT_EQ(parse_instant("--date", "1970-01-02"), 86400);
  EXPECT_EQ(parse_instant("--date", "2026-11-26T01:12:59Z"), 1795655579);
  EXPECT_EQ(parse_instant("--date", "2026-11-26T03:12:59+02:00"), 1795655579);
  EXPECT_EQ(parse_instant("--date", "2026-11-25 20:12:59-0500"), 1795655579);
  EXPECT_EQ(parse_instant("--date", "1795655579"), 1795655579);
  EXPECT_EQ(instant_text(1795655579), "2026-11-26 01:12:59");
  for (const char* bad : {"", "yesterday", "2026-02-30", "2026-13-01", "2026-11-26T25:00:00Z",
                          "2026-11-26T01:12:59", "12", "-5"}) {
    EXPECT_THROW(parse_instant("--date", bad), BadInput) << bad;
  }
}

}  // namespace
}  // namespace deformer
