#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <system_error>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "model/error.hpp"
#include "records/run_file.hpp"
#include "tests/records/fixtures.hpp"

namespace deformer::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string refusal_of(const fs::path& path) {
  return message_of<BadInput>([&] { RunWriter writer(path); });
}

/// Runs the action in a process of its own; its result is the exit code.
int in_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = action();
    } catch (...) {
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(RunWriter, WhatWasAppendedReadsBackEqualAndInOrder) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  std::vector<Json> lines = {run_line("r1")};
  for (const Json& record : set_of("r1", "s1")) lines.push_back(record);
  {
    RunWriter writer(path);
    EXPECT_TRUE(writer.existing().runs.empty());
    writer.append({lines[0]});
    writer.append({lines[1], lines[2], lines[3]});
  }
  EXPECT_EQ(read_file(path), text_of(lines));
  RunWriter again(path);
  ASSERT_EQ(again.existing().records.size(), 3u);
  EXPECT_EQ(to_line(again.existing().records[2]), to_line(lines[3]));
  again.append({end_line("r1")});
  EXPECT_EQ(read_run_file(path).ends.size(), 1u);
}

TEST(RunWriter, ANewFilesModeFollowsTheUmask) {
  const TempFolder folder;
  const mode_t before = ::umask(027);
  { RunWriter writer(folder / "a.jsonl"); }
  ::umask(before);
  EXPECT_EQ(fs::status(folder / "a.jsonl").permissions(), fs::perms(0640));
}

TEST(RunWriter, NoNanReachesTheFile) {
  const TempFolder folder;
  Json record = record_of("r1", "s1", "full");
  record["time"]["median"] = std::nan("");
  record["cost"]["flops"] = std::numeric_limits<double>::infinity();
  record["counters"] = {{"deep", {1.0, std::nan("")}}};
  record["reason"] = "not UTF-8: \xff";
  RunWriter writer(folder / "a.jsonl");
  writer.append({run_line("r1"), record});
  const RunFile file = read_run_file(folder / "a.jsonl");
  EXPECT_TRUE(file.records.at(0)["time"]["median"].is_null());
  EXPECT_TRUE(file.records[0]["cost"]["flops"].is_null());
  EXPECT_TRUE(file.records[0]["counters"]["deep"][1].is_null());
  EXPECT_EQ(file.records[0]["reason"], "not UTF-8: \xEF\xBF\xBD");
}

TEST(RunWriter, ALineThatWouldNotReadBackIsNotWritten) {
  const TempFolder folder;
  RunWriter writer(folder / "a.jsonl");
  Json record = record_of("r1", "s1", "full");
  record["point"]["batch"] = 7;
  EXPECT_THAT(message_of<std::logic_error>([&] {
                writer.append({run_line("r1"), record});
              }),
              HasSubstr("field 'key'"));
  EXPECT_EQ(read_file(folder / "a.jsonl"), "");
}

TEST(RunWriter, ASecondWriterIsToldThatTheFileIsLocked) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  {
    RunWriter first(path);
    first.append({run_line("r1")});
    EXPECT_THAT(refusal_of(path), HasSubstr("is locked by another run; wait for it or choose"));
    EXPECT_EQ(in_child([&] { return refusal_of(path).empty() ? 1 : 0; }), 0);
    first.append({end_line("r1")});
  }
  EXPECT_EQ(refusal_of(path), "");
}

TEST(RunWriter, OfTwoProcessesThatContendOneAtATimeWritesAndNothingIsLost) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  const auto contend = [&](const std::string& name) {
    for (int done = 0; done < 20;) {
      try {
        RunWriter writer(path);
        const std::string id = fmt::format("{}{}", name, done);
        writer.append({run_line(id)});
        writer.append(set_of(id, "s"));
        ++done;
      } catch (const BadInput&) {
      }
      ::usleep(300);
    }
    return 0;
  };
  const pid_t other = ::fork();
  if (other == 0) ::_exit(contend("child"));
  contend("parent");
  int status = 0;
  ::waitpid(other, &status, 0);
  EXPECT_EQ(status, 0);
  const RunFile file = read_run_file(path);
  EXPECT_EQ(file.runs.size(), 40u);
  EXPECT_EQ(file.records.size(), 120u);
  for (std::size_t i = 0; i < file.records.size(); ++i)
    EXPECT_EQ(file.records[i]["run"], file.runs[i / 3]["id"]);
}

TEST(RunWriter, WhatIsNotAWritableRegularFileIsRefusedAndLeftAlone) {
  const TempFolder folder;
  EXPECT_THAT(refusal_of(folder.path()), HasSubstr("it is a directory"));
  EXPECT_THAT(refusal_of(folder / "none/a.jsonl"), HasSubstr("folder does not exist"));
  EXPECT_FALSE(fs::exists(folder / "none"));
  EXPECT_THAT(refusal_of("/dev/null"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal_of("/dev/full"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal_of(""), HasSubstr("cannot be written"));
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal_of(folder / "fifo"), HasSubstr("not a regular file"));
  write_file(folder / "file", "");
  EXPECT_THAT(refusal_of(folder / "file/a.jsonl"), HasSubstr("cannot be written"));
}

TEST(RunWriter, AFileMarkedReadOnlyIsRefusedForRootToo) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  write_file(path, text_of({run_line("r1")}) + "torn");
  fs::permissions(path, fs::perms(0444));
  EXPECT_THAT(refusal_of(path), HasSubstr("read-only"));
  EXPECT_EQ(read_file(path), text_of({run_line("r1")}) + "torn");
}

TEST(RunWriter, AMalformedFileIsRefusedAndLeftAsItIs) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  const std::string text = text_of({run_line("r1")}) + "{\"type\":1}\n" + "torn";
  write_file(path, text);
  EXPECT_THAT(refusal_of(path), HasSubstr("a.jsonl:2: field 'type'"));
  EXPECT_EQ(read_file(path), text);
}

TEST(RunWriter, SomeoneElsesFileWithoutANewlineIsNotEmptied) {
  const TempFolder folder;
  for (const std::string text : {"my thesis", "{\"type\":\"FeatureCollection\"}", "\x89PNG"}) {
    write_file(folder / "a", text);
    EXPECT_THAT(refusal_of(folder / "a"), HasSubstr("a run file"));
    EXPECT_EQ(read_file(folder / "a"), text);
  }
}

/// As small as they may be: the file is cut at each of their bytes.
std::vector<Json> small_set_of(const std::string& run, const std::string& set) {
  auto records = set_of(run, set);
  for (Json& record : records)
    for (const char* name : {"reason", "time", "speedup", "cost"}) record.erase(name);
  return records;
}

TEST(RunWriter, CutAtAnyByteAFileKeepsItsEarlierSetsAndOnlyWholeOnes) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  const std::vector<std::string> writes = {
      text_of({run_line("r1")}), text_of(small_set_of("r1", "s1")), text_of({end_line("r1")}),
      text_of({run_line("r2")}), text_of(small_set_of("r2", "s1"))};
  std::string text;
  std::vector<std::size_t> ends = {0};  // what a write left is whole
  for (const auto& write : writes) ends.push_back((text += write).size());
  for (std::size_t length = 0; length <= text.size(); ++length) {
    std::size_t whole = 0;
    for (const std::size_t end : ends)
      if (end <= length) whole = end;
    fs::remove(path);  // overwriting it would make some file systems sync it
    write_file(path, text.substr(0, length));
    const RunWriter writer(path);
    ASSERT_EQ(writer.existing().torn_tail.empty(), length == whole) << length;
    ASSERT_EQ(writer.existing().records.size() % 3, 0u) << length;
    ASSERT_EQ(fs::file_size(path), whole) << length;
  }
}

TEST(RunWriter, ATornEndIsReportedOnceWithItsLine) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  write_file(path, text_of({run_line("r1")}) + std::string(100, '\0'));
  EXPECT_THAT(RunWriter(path).existing().torn_tail, HasSubstr("a.jsonl:2: the last line is torn"));
  EXPECT_EQ(RunWriter(path).existing().torn_tail, "");
  auto set = set_of("r1", "s1");
  set.pop_back();
  write_file(path, text_of({run_line("r1")}) + text_of(set));
  EXPECT_THAT(RunWriter(path).existing().torn_tail,
              HasSubstr("a.jsonl:2: the last set is torn (2 of its 3 records"));
  EXPECT_EQ(RunWriter(path).existing().torn_tail, "");
}

/// Writes until the file may grow no further; 0 when the failure was as it should be.
int fill_up(const fs::path& path, rlim_t room) {
  ::signal(SIGXFSZ, SIG_IGN);
  RunWriter writer(path);
  const auto before = read_file(path);
  const rlimit limit{before.size() + room, before.size() + room};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
  const auto message =
      message_of<std::system_error>([&] { writer.append(set_of("r1", "second set")); });
  if (message.find(path.string()) == std::string::npos) return 3;
  return read_file(path) == before ? 0 : 4;
}

TEST(RunWriter, AFullDiskLeavesWhatWasThereBeforeAndSaysWhichFile) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  std::string text = text_of({run_line("r1")}) + text_of(set_of("r1", "s1"));
  for (const rlim_t room :
       {0, 1, 700, 1500}) {  // none, a byte, a piece of a line, more than a line
    write_file(path, text);
    EXPECT_EQ(in_child([&] { return fill_up(path, room); }), 0) << room;
    EXPECT_EQ(read_file(path), text);
  }
}

/// Appends sets for ever, and a byte to the pipe for each that append() has answered for.
[[noreturn]] void write_for_ever(const fs::path& path, const std::string& run, int acknowledge) {
  RunWriter writer(path);
  writer.append({run_line(run)});
  for (int i = 0;; ++i) {
    auto set = set_of(run, fmt::format("s{}", i));
    for (Json& record : set) record["time"]["samples"] = std::vector<double>(1000, 123456.75);
    writer.append(set);
    if (::write(acknowledge, "x", 1) != 1) ::_exit(1);
  }
}

/// Kills a writer after some microseconds; how many sets it had been told were safe.
std::size_t kill_a_writer(const fs::path& path, const std::string& run, unsigned after_us) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  const pid_t child = ::fork();
  if (child == 0) write_for_ever(path, run, ends[1]);
  ::close(ends[1]);
  char byte = 0;
  std::size_t safe = ::read(ends[0], &byte, 1) == 1 ? 1 : 0;
  ::usleep(after_us);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  while (::read(ends[0], &byte, 1) == 1) ++safe;
  ::close(ends[0]);
  return safe;
}

TEST(RunWriter, AKillAtAnyTimeLosesAtMostTheSetInProgress) {
  const TempFolder folder;
  std::mt19937 random(7);
  int torn = 0;
  for (int i = 0; i < 50; ++i) {
    const auto path = folder / fmt::format("{}.jsonl", i / 5);
    const std::string run = fmt::format("r{}", i);
    const std::size_t safe = kill_a_writer(path, run, static_cast<unsigned>(random() % 4000));
    const RunWriter writer(path);
    torn += writer.existing().torn_tail.empty() ? 0 : 1;
    std::size_t found = 0;
    for (const Json& record : writer.existing().records) found += record["run"] == run ? 1 : 0;
    EXPECT_EQ(found % 3, 0u);
    EXPECT_GE(found / 3, safe);
    EXPECT_LE(found / 3, safe + 1);
  }
  RecordProperty("torn", torn);
}

}  // namespace
}  // namespace deformer::testing
