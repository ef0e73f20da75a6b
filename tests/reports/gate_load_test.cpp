#include "reports/gate/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "model/error.hpp"
#include "tests/records/fixtures.hpp"

namespace deformer {
namespace {

using testing::Json;

Json marked(const std::string& side, int process, std::vector<double> samples,
            std::vector<int> rounds, const std::string& pair = "g1") {
  Json record = testing::record_of("run-" + side, side + std::to_string(process), "cached");
  record["time"]["samples"] = samples;
  record["time"]["round"] = rounds;
  record["speedup"]["samples"] = std::vector<double>(samples.size(), 2.0);
  record["gate"] = {{"pair", pair}, {"side", side}, {"process", process}, {"confirming", false}};
  return record;
}

RunFile file_of(std::vector<Json> records, const std::string& build = "b") {
  RunFile file;
  file.path = "x.jsonl";
  for (const char* id : {"run-base", "run-head"}) {
    file.runs.push_back(testing::run_line(id, {{"isa", "avx2"}}));
    file.runs.back()["build"] = build + id;
    file.ends.push_back(testing::end_line(id));
  }
  file.records = std::move(records);
  return file;
}

std::string warnings;
GateInput loaded(const RunFile& file, const std::string& filter = "") {
  warnings.clear();
  return gate_input(file, file, filter, [](const std::string& text) { warnings += text; });
}

TEST(GateLoad, ProcessesArePairedByNumberAndTheirRoundsByRound) {
  const GateInput input =
      loaded(file_of({marked("base", 0, {10, 11, 12}, {0, 1, 2}), marked("head", 1, {30}, {0}),
                      marked("head", 0, {22, 20}, {2, 0}), marked("base", 1, {15, 16}, {0, 1})}));
  ASSERT_EQ(input.points.size(), 1u);
  const auto& pairs = input.points[0].pairs;
  ASSERT_EQ(pairs.size(), 2u);
  ASSERT_EQ(pairs[0].base.size(), 2u);  // round 1 is only in base
  EXPECT_EQ(pairs[0].base[0].ns, 10);
  EXPECT_EQ(pairs[0].head[0].ns, 20);
  EXPECT_EQ(pairs[0].base[1].ns, 12);
  EXPECT_EQ(pairs[0].head[1].ns, 22);
  EXPECT_EQ(pairs[0].head[1].full_ns, 44);
  EXPECT_EQ(pairs[1].base[0].ns, 15);
  EXPECT_EQ(input.base.build, "brun-base");
  EXPECT_EQ(input.head.build, "brun-head");
}

TEST(GateLoad, GatesDoNotMix) {
  const GateInput input =
      loaded(file_of({marked("base", 0, {10}, {0}, "g1"), marked("head", 0, {20}, {0}, "g2")}));
  EXPECT_TRUE(input.points[0].pairs.empty());
  EXPECT_EQ(input.points[0].base_alone.size(), 1u);
}

TEST(GateLoad, AnInvalidProcessSpeaksForThePoint) {
  std::vector<Json> records = {marked("base", 0, {10}, {0}), marked("head", 0, {10}, {0}),
                               marked("base", 1, {10}, {0}), marked("head", 1, {10}, {0})};
  records[1]["status"] = "invalid";
  records[1]["reason"] = "parity failed";
  const GateInput input = loaded(file_of(records));
  EXPECT_EQ(input.points[0].head.status, "invalid");
  EXPECT_EQ(input.points[0].head.reason, "parity failed");
  EXPECT_EQ(input.points[0].base.status, "ok");
}

TEST(GateLoad, RecordsOfAnotherBuildAreLeftOutAndCounted) {
  RunFile file;
  file.path = "x.jsonl";
  for (const char* id : {"old", "new"}) {
    file.runs.push_back(testing::run_line(id));
    file.runs.back()["build"] = id;
    file.records.push_back(testing::record_of(id, id, "cached"));
  }
  const GateInput input = loaded(file);
  EXPECT_EQ(input.base.build, "new");
  EXPECT_EQ(input.points[0].base_alone.size(), 1u);
  EXPECT_THAT(warnings, ::testing::HasSubstr("1 records of another build"));
}

TEST(GateLoad, SweepsRepeatedAreProcesses) {
  RunFile file;
  file.path = "x.jsonl";
  for (const char* id : {"r1", "r2", "r3"}) {
    file.runs.push_back(testing::run_line(id));
    file.records.push_back(testing::record_of(id, id, "cached"));
  }
  EXPECT_EQ(loaded(file).points[0].base_alone.size(), 3u);
  EXPECT_TRUE(loaded(file).base.unfinished);
}

TEST(GateLoad, CountsOfAProfileAreFigures) {
  Json record = testing::record_of("run-base", "s", "cached");
  record["phases"] = {{{"name", "head"}, {"allocations", 2}},
                      {{"name", "join"}, {"allocations", 3}}};
  record["counters"] = {{"total", {{"instructions", 1e6}}}};
  record["memory"]["launches"] = 12;
  const auto figures = loaded(file_of({record})).points.at(0).base.figures;
  const auto value_of = [&figures](const std::string& name) {
    const auto found = std::ranges::find(figures, name, &ExactFigure::name);
    return found == figures.end() ? -1 : found->value;
  };
  EXPECT_EQ(value_of("allocations"), 5);
  EXPECT_EQ(value_of("instructions"), 1e6);
  EXPECT_EQ(value_of("launches"), 12);
  EXPECT_EQ(value_of("flops"), 1e9);
  EXPECT_EQ(value_of("packed_weights_bytes"), -1);  // what a record does not know is no figure
}

TEST(GateLoad, AllocationsOfAForwardAndTheProgramsSizeAreFigures) {
  Json record = testing::record_of("run-base", "s", "cached");
  record["memory"]["allocations"] = 0;
  RunFile file = file_of({record});
  file.runs.front()["gate"] = {{"binary_bytes", 4096}};
  const GateInput input = loaded(file);
  EXPECT_TRUE(std::ranges::any_of(input.points.at(0).base.figures, [](const ExactFigure& figure) {
    return figure.name == "allocations" && figure.value == 0;
  }));
  ASSERT_EQ(input.base.figures.size(), 1u);
  EXPECT_EQ(input.base.figures[0].value, 4096);
}

/// What a gate wrote down of one side's instructions.
ExactFigure counted(const Json& field) {
  Json record = testing::record_of("run-base", "s", "cached");
  record["counted"] = field;
  const auto figures = loaded(file_of({record})).points.at(0).base.figures;
  const auto found = std::ranges::find(figures, "instructions", &ExactFigure::name);
  return found == figures.end() ? ExactFigure{} : *found;
}

TEST(GateLoad, CountsSayHowTheyWereCounted) {
  Json field = {
      {"by", "PAPI_TOT_INS"},   {"isa", "avx2 fma"},   {"engines", "panels"}, {"threads", 1},
      {"status", "ok"},         {"instructions", 100}, {"low", 99},           {"high", 103},
      {"ranges", Json::array()}};
  const ExactFigure figure = counted(field);
  EXPECT_EQ(figure.counted_as, "PAPI_TOT_INS, avx2 fma, 1 thread, panels");
  EXPECT_FALSE(figure.simulated);
  EXPECT_EQ(figure.low, 99);
  EXPECT_EQ(figure.high, 103);
  field["low"] = 101;  // above the count itself: not a range of it
  EXPECT_EQ(counted(field).high, 0);
  field["by"] = "callgrind-3.19.0";
  EXPECT_TRUE(counted(field).simulated);
}

TEST(GateLoad, ANameOfAMillionCharactersIsFilteredAsAnyOther) {
  Json record = testing::record_of("run-base", "s", "cached");
  record["name"] = std::string(1'000'000, 'a');
  EXPECT_EQ(loaded(file_of({record}), "(a|b)*x").points.size(), 0u);
  EXPECT_EQ(loaded(file_of({record}), "^(a|b)*").points.size(), 1u);
}

TEST(GateLoad, AMalformedFilterIsBadInput) {
  EXPECT_THROW(loaded(file_of({}), "("), BadInput);
}

}  // namespace
}  // namespace deformer
