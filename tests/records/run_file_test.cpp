#include "records/run_file.hpp"

#include <chrono>
#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "model/error.hpp"
#include "tests/records/fixtures.hpp"

namespace deformer::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What reading says of a file with a good first line, this second line, and a good third.
std::string refusal_of(const std::string& second_line) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  write_file(path, text_of({run_line("r1")}) + second_line + "\n" + text_of({end_line("r1")}));
  const auto message = message_of<BadInput>([&] { read_run_file(path); });
  const auto name = path.string();
  return message.starts_with(name) ? fmt::format("FILE{}", message.substr(name.size())) : message;
}

std::string refusal_of(const std::function<void(Json&)>& spoil) {
  Json record = record_of("r1", "s1", "cached");
  spoil(record);
  return refusal_of(to_line(record));
}

TEST(RunFile, HoldsRunsRecordsAndEndsInFileOrder) {
  const TempFolder folder;
  const auto path = folder / "a.jsonl";
  const std::string text =
      text_of({run_line("r1"), record_of("r1", "s1", "full"), record_of("r1", "s1", "cached"),
               end_line("r1"), run_line("r2")});
  write_file(path, text);
  const RunFile file = read_run_file(path);
  ASSERT_EQ(file.runs.size(), 2u);
  EXPECT_EQ(file.runs[1]["id"], "r2");
  ASSERT_EQ(file.records.size(), 2u);
  EXPECT_EQ(file.records[1]["point"]["variant"], "cached");
  EXPECT_EQ(file.ends.size(), 1u);
  EXPECT_EQ(file.torn_tail, "");
  EXPECT_EQ(file.good_bytes, static_cast<std::int64_t>(text.size()));
}

TEST(RunFile, AnEmptyFileHasNoLines) {
  const TempFolder folder;
  write_file(folder / "a.jsonl", "");
  const RunFile file = read_run_file(folder / "a.jsonl");
  EXPECT_TRUE(file.runs.empty() && file.records.empty() && file.ends.empty());
  EXPECT_EQ(file.torn_tail, "");
}

TEST(RunFile, FieldsAddedByLaterVersionsAreNoError) {
  EXPECT_EQ(refusal_of([](Json& record) {
              record["later"] = {{"x", 1}};
              record["time"]["later"] = "y";
              record["counters"] = {{"cycles", 5}};
            }),
            "");
}

TEST(RunFile, WhatARecordCannotKnowMayBeNull) {
  EXPECT_EQ(refusal_of([](Json& record) {
              record["status"] = "skipped";
              record["reason"] = "does not fit";
              for (const char* name : {"set", "time", "speedup", "cost", "phases", "parity"})
                record[name] = nullptr;
            }),
            "");
}

TEST(RunFile, AMistypedFieldIsNamedWithFileLineAndWhatWasFound) {
  EXPECT_THAT(refusal_of([](Json& r) { r["time"]["samples"] = "fast"; }),
              StartsWith("FILE:2: field 'time.samples': expected an array of numbers of 0 or more, "
                         "found the string \"fast\""));
  EXPECT_THAT(refusal_of([](Json& r) {
                r["time"]["samples"] = {1, -2.5};
              }),
              HasSubstr("field 'time.samples': expected an array of numbers of 0 or more, found "
                        "the number -2.5 at index 1"));
  EXPECT_THAT(refusal_of([](Json& r) { r["time"]["median"] = "x"; }),
              HasSubstr("field 'time.median': expected a number or null, found the string \"x\""));
  EXPECT_THAT(refusal_of([](Json& r) { r["status"] = "fine"; }),
              HasSubstr("field 'status': expected one of ok, skipped, failed, invalid"));
  EXPECT_THAT(refusal_of([](Json& r) { r["set"] = Json::array(); }), HasSubstr("field 'set'"));
  EXPECT_THAT(refusal_of([](Json& r) { r["group"] = "0123"; }), HasSubstr("field 'group'"));
  EXPECT_THAT(refusal_of([](Json& r) { r["cost"] = 5; }), HasSubstr("field 'cost'"));
  EXPECT_THAT(refusal_of([](Json& r) { r["speedup"]["versus"]["key"] = 5; }),
              HasSubstr("field 'speedup.versus.key'"));
  EXPECT_THAT(refusal_of([](Json& r) { r["point"]["batch"] = 0; }),
              HasSubstr("field 'point.batch'"));
  EXPECT_THAT(refusal_of([](Json& r) { r["point"]["seed"] = -1; }),
              HasSubstr("field 'point.seed'"));
}

TEST(RunFile, AMissingFieldIsNamed) {
  for (const char* name : {"run", "key", "group", "name", "point", "status"})
    EXPECT_THAT(refusal_of([&](Json& r) { r.erase(name); }),
                StartsWith(fmt::format("FILE:2: field '{}': expected", name)));
  for (const char* name : {"model", "question", "passage", "batch", "variant", "backend", "dtype",
                           "threads", "seed", "split", "cache_dtype"})
    EXPECT_THAT(
        refusal_of([&](Json& r) { r["point"].erase(name); }),
        AllOf(StartsWith(fmt::format("FILE:2: field 'point.{}'", name)), HasSubstr("nothing")));
  EXPECT_THAT(refusal_of([](Json& r) { r["time"].erase("samples"); }),
              HasSubstr("field 'time.samples'"));
}

TEST(RunFile, AKeyThatIsNotTheDigestOfItsPointIsAnError) {
  const auto message = refusal_of([](Json& r) { r["point"]["batch"] = 2; });
  EXPECT_THAT(message, StartsWith("FILE:2: field 'key': expected"));
  EXPECT_THAT(message, HasSubstr("key does not match the point"));
}

TEST(RunFile, AnotherSchemaIsRefusedSayingWhatReadsIt) {
  EXPECT_THAT(refusal_of([](Json& r) { r["schema"] = 2; }),
              AllOf(StartsWith("FILE:2: field 'schema': expected 1, found the number 2"),
                    HasSubstr("version")));
  EXPECT_THAT(refusal_of([](Json& r) { r.erase("schema"); }), HasSubstr("field 'schema'"));
  EXPECT_THAT(refusal_of(R"({"type":"run","schema":"1","id":"r"})"), HasSubstr("field 'schema'"));
}

TEST(RunFile, AnUnknownTypeIsAnError) {
  EXPECT_THAT(
      refusal_of(R"({"type":"note"})"),
      HasSubstr("field 'type': expected one of run, record, end, found the string \"note\""));
  EXPECT_THAT(refusal_of(R"({"schema":1})"), HasSubstr("field 'type'"));
}

TEST(RunFile, TwoRunsWithOneIdAreAnError) {
  EXPECT_THAT(refusal_of(to_line(run_line("r1"))), StartsWith("FILE:2: field 'id'"));
}

TEST(RunFile, DecidingFieldsAreStrings) {
  Json run = run_line("r2");
  run["machine"]["deciding"] = {{"cores", 5}};
  EXPECT_THAT(refusal_of(to_line(run)), HasSubstr("field 'machine.deciding'"));
}

TEST(RunFile, ALineThatIsNotOneJsonObjectIsAnError) {
  for (const std::string line :
       {"", "   ", "5", "[]", "nonsense", "{\"type\":", "{} {}", "{\"type\":\"end\"}x",
        "\xEF\xBB\xBF{}", R"({"type":"end","run":"r","wall_s":1e999})",
        R"({"type":"end","run":"r","wall_s":NaN})"})
    EXPECT_THAT(refusal_of(line), StartsWith("FILE:2: expected one JSON object")) << line;
}

TEST(RunFile, AFieldThatStandsTwiceIsAnError) {
  EXPECT_THAT(refusal_of(R"({"type":"end","run":"r","x":{"ok":1,"bad":1,"ok":2}})"),
              HasSubstr("found the field 'ok' twice"));
}

TEST(RunFile, NulBytesAndBrokenUtf8AreErrors) {
  EXPECT_THAT(refusal_of(std::string("{\"type\":\"end\",\"run\":\"r\"}\0\0", 26)),
              HasSubstr("found a NUL byte"));
  EXPECT_THAT(refusal_of("{\"type\":\"end\",\"run\":\"\xC3\x28\"}"), HasSubstr("UTF-8"));
}

TEST(RunFile, HostileNestingAndHugeObjectsTakeNoLongerThanTheirLength) {
  const auto start = std::chrono::steady_clock::now();
  const std::string deep(20'000'000, '[');
  EXPECT_THAT(refusal_of("{\"type\":\"end\",\"x\":" + deep), HasSubstr("nested over 64 deep"));
  std::string wide = R"({"type":"end","run":"r")";
  for (int i = 0; i < 500'000; ++i) wide += fmt::format(R"(,"{}":0)", i);
  EXPECT_THAT(refusal_of(wide + ",\"7\":1}"), HasSubstr("the field '7' twice"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(RunFile, ALineOverSixtyFourMegabytesIsRefused) {
  const TempFolder folder;
  write_file(folder / "a.jsonl", std::string((std::size_t{64} << 20) + 10, ' ') + "{}\n");
  EXPECT_THAT(message_of<BadInput>([&] { read_run_file(folder / "a.jsonl"); }),
              HasSubstr("a.jsonl:1: expected lines of at most 64 MB"));
}

TEST(RunFile, AMissingFileAndADirectoryAreBadInput) {
  const TempFolder folder;
  EXPECT_THAT(message_of<BadInput>([&] { read_run_file(folder / "none.jsonl"); }),
              HasSubstr("none.jsonl: cannot be opened"));
  EXPECT_THAT(message_of<BadInput>([&] { read_run_file(folder.path()); }), HasSubstr("directory"));
}

TEST(RunFile, ALineWrittenWithANewlineThatIsMalformedIsNotTorn) {
  const TempFolder folder;
  write_file(folder / "a.jsonl", text_of({run_line("r1")}) + "{\"type\":\"rec\n");
  EXPECT_THAT(message_of<BadInput>([&] { read_run_file(folder / "a.jsonl"); }),
              HasSubstr("a.jsonl:2: expected one JSON object"));
}

TEST(RunFile, LinesThatStraddleTheReadBufferAreReadWhole) {
  const TempFolder folder;
  std::vector<Json> lines = {run_line("r1")};
  for (int i = 0; i < 40; ++i) {
    lines.push_back(record_of("r1", fmt::format("s{}", i), "full", i));
    lines.back()["reproduce"] = std::string(100'000 + static_cast<std::size_t>(i) * 997, 'x');
  }
  lines[20]["reproduce"] = std::string(5'000'000, 'y');
  write_file(folder / "a.jsonl", text_of(lines));
  const RunFile file = read_run_file(folder / "a.jsonl");
  ASSERT_EQ(file.records.size(), 40u);
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(to_line(file.records[i]), to_line(lines[i + 1]));
}

TEST(RunFile, OfSeveralBadLinesInALongFileTheFirstIsNamed) {
  const TempFolder folder;
  std::string text = text_of({run_line("r1")});
  for (int i = 2; i <= 3000; ++i)
    text +=
        i == 1201 || i == 1210 || i == 2500 ? "bad\n" : text_of({record_of("r1", "s", "full", i)});
  write_file(folder / "a.jsonl", text);
  EXPECT_THAT(message_of<BadInput>([&] { read_run_file(folder / "a.jsonl"); }),
              HasSubstr("a.jsonl:1201: expected one JSON object"));
}

}  // namespace
}  // namespace deformer::testing
