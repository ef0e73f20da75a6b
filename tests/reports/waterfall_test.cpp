#include "reports/waterfall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::Contains;
using testing::HasSubstr;

Json phase(const char* name, double median_ns, double flops) {
  return {{"name", name}, {"median_ns", median_ns}, {"flops", flops}};
}

/// 100 FLOPs in 1000 ns, 20 of them beside the layers.
Json full() {
  Json record = make_record("full", 0, 1000);
  record["cost"] = {{"flops", 100}};
  record["phases"] = {phase("embed(joint)", 15, 0), phase("encode(joint,0..12)", 980, 100),
                      phase("head", 5, 0)};
  return record;
}

/// A quarter of the work in 330 ns: ideally 250.
Json cached() {
  Json record = with_speedup(make_record("cached", 9, 330), 1000.0 / 330, 4);
  record["cost"] = {{"flops", 25}};
  record["phases"] = {phase("embed(question)", 4, 0), phase("encode(question,0..9)", 100, 10),
                      phase("load(passage)", 15, 0), phase("join", 6, 0),
                      phase("encode(joint,9..12)", 200, 15)};
  return record;
}

std::vector<Table> tables_of(const std::vector<Json>& records, bool one = false) {
  WaterfallReport report;
  for (const Json& record : records) {
    report.add(record);
  }
  return report.tables(one);
}

TEST(WaterfallReport, OfPhasesItTakesOffEachLossAndEndsAtTheMeasuredRatio) {
  const std::vector<Table> tables = tables_of({cached(), full()});  // in any order
  ASSERT_EQ(tables.size(), 1U);
  const auto& rows = tables[0].rows;
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_DOUBLE_EQ(rows[0][2].value(), 4);
  EXPECT_EQ(rows[1][0].text(), "layers");
  EXPECT_DOUBLE_EQ(rows[1][1].value(), 300 - 980.0 / 4);
  EXPECT_DOUBLE_EQ(rows[2][1].value(), 15);
  EXPECT_DOUBLE_EQ(rows[3][1].value(), 10 - 20.0 / 4);
  EXPECT_NEAR(rows[4][1].value(), 330 - (250 + 55 + 15 + 5), 1e-9);
  EXPECT_DOUBLE_EQ(rows[5][2].value(), 1000.0 / 330);
  EXPECT_THAT(tables[0].notes, Contains(HasSubstr("remainder: +1.5 %")));
  EXPECT_THAT(tables[0].notes, Contains(HasSubstr("`profile`")));
}

TEST(WaterfallReport, WhatProfileMeasuredStepByStepIsShownAsItIs) {
  Json record = cached();
  record["waterfall"] = {
      {"steps",
       {{{"step", "FLOP ratio"}, {"what", "x"}, {"ns", 0}, {"ratio", 4}},
        {{"step", "small products"}, {"what", "y"}, {"ns", -3}, {"ratio", 4.05}},
        {{"step", "measured ratio"}, {"what", "z"}, {"ns", 0}, {"ratio", 3.03}}}},
      {"remainder_fraction", 0.021}};
  const std::vector<Table> tables = tables_of({record});  // full is not needed
  ASSERT_EQ(tables.at(0).rows.size(), 3U);
  EXPECT_EQ(tables[0].rows[1][0].text(), "small products");
  EXPECT_EQ(human_cell(tables[0].columns[1], tables[0].rows[1][1]), "-3.00 ns");
  EXPECT_THAT(tables[0].notes, Contains(HasSubstr("remainder: +2.1 %")));
}

TEST(WaterfallReport, AllInOneTableEachRowSaysItsPoint) {
  Json other = cached();
  other["name"] = "other";
  const std::vector<Table> tables = tables_of({full(), cached(), other}, true);
  ASSERT_EQ(tables.size(), 1U);
  ASSERT_EQ(tables[0].rows.size(), 12U);
  EXPECT_EQ(tables[0].rows[11][0].text(), "other");
  EXPECT_EQ(tables_of({full(), cached(), other}).size(), 2U);
}

TEST(WaterfallReport, WhatCannotBeToldIsCountedNotMadeUp) {
  Json no_phases = cached();
  no_phases["phases"] = nullptr;
  Json failed = cached();
  failed["status"] = "failed";
  EXPECT_THAT(tables_of({cached()}).at(0).notes, Contains(HasSubstr("1 speedups are left out")));
  EXPECT_THAT(tables_of({full(), no_phases}).at(0).notes,
              Contains(HasSubstr("1 speedups are left out")));
  EXPECT_THAT(tables_of({full(), failed}).at(0).notes, Contains(HasSubstr("no speedup")));
  EXPECT_THAT(tables_of({}).at(0).notes, Contains(HasSubstr("no speedup")));
}

TEST(WaterfallReport, APlantedSlowdownIsSaid) {
  Json planted = cached();
  planted["injected"] = "op=ffn1,slowdown=3%";
  EXPECT_THAT(tables_of({full(), planted}).at(0).notes,
              Contains(HasSubstr("NOT A MEASUREMENT: a slowdown was planted")));
}

}  // namespace
}  // namespace deformer
