/// What reports conclude: which k, when caching pays, what differs between runs, what the paper
/// says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "reports/compare.hpp"
#include "reports/economics.hpp"
#include "reports/figure.hpp"
#include "reports/paper.hpp"
#include "reports/splits.hpp"
#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// ---- which k -----------------------------------------------------------------------------------

Json cached(int split, double speedup, const std::vector<double>& samples) {
  Json record = with_speedup(make_record("cached", split, 1e6), speedup, 4);
  record["speedup"]["samples"] = samples;
  return record;
}

/// Rounds that share a machine's ups and downs: the ratio of two k is far steadier than either.
std::vector<double> rounds_at(double level) {
  std::vector<double> samples;
  for (int i = 0; i < 30; ++i) samples.push_back(level * (1 + 0.2 * ((i * 7) % 5 - 2)));
  return samples;
}

TEST(SplitFindings, RoundsTellApartWhatIntervalsCannot) {
  // 3 % apart, intervals of ±1 % would do; here they are made to overlap.
  Json a = cached(8, 3.0, rounds_at(3.0));
  Json b = cached(9, 3.1, rounds_at(3.1));
  for (Json* record : {&a, &b}) {
    (*record)["speedup"]["ci_low"] = 2.5;
    (*record)["speedup"]["ci_high"] = 3.5;
  }
  EXPECT_THAT(split_findings({a, b}),
              ElementsAre(HasSubstr("fastest k=9 at 3.10x; every k can be told from the next")));
  b["set"] = "another";  // no rounds in common: the intervals decide
  EXPECT_THAT(split_findings({a, b}), ElementsAre(HasSubstr("k=8,9 cannot be told apart")));
}

TEST(SplitFindings, OneKIsNoQuestion) {
  EXPECT_TRUE(split_findings({cached(9, 3, {}), make_record("full", 0, 1e6)}).empty());
}

// ---- when caching pays -------------------------------------------------------------------------

TEST(Economics, FollowsTheFormulas) {
  Economics e;
  e.full_ns = 100e6;
  e.cached_ns = 30e6;
  e.fetch_ns = 1e6;
  e.encode_ns = 80e6;
  e.flops_full = 58e9;
  e.flops_saved = 40e9;
  e.bytes_loaded = 900'096;
  // R = 58e9 / 0.1 s; R B / dF
  EXPECT_NEAR(*e.critical_bandwidth(), 580e9 * 900'096 / 40e9, 1);
  EXPECT_NEAR(*e.miss_ns(), 110e6, 1);
  EXPECT_NEAR(*e.break_even_hit_rate(), 10.0 / 80.0, 1e-12);
  EXPECT_NEAR(*e.break_even_sharing(), 80, 1e-9);
  EXPECT_NEAR(*e.break_even_reads(), 81.0 / 70.0, 1e-12);
}

TEST(Economics, WhatWasNotMeasuredIsNotSaid) {
  Economics e;
  e.full_ns = 100e6;
  e.cached_ns = 30e6;
  EXPECT_FALSE(e.critical_bandwidth());
  EXPECT_FALSE(e.break_even_hit_rate());
  EXPECT_FALSE(e.break_even_sharing());
}

TEST(Economics, ACachedPointWithoutItsFullIsCountedNotShown) {
  EconomicsTable economics;
  Json record = with_speedup(make_record("cached", 9, 1e6), 3, 4);
  record["cost"] = {{"flops", 1e9}};
  economics.add(record);
  const Table table = economics.table();
  EXPECT_TRUE(table.rows.empty());
  EXPECT_THAT(table.notes, Contains(HasSubstr("1 cached points have no full")));
}

// ---- compare -----------------------------------------------------------------------------------

Json with_rounds(Json record, double scale) {
  std::vector<double> samples;
  std::vector<int> rounds;
  for (int i = 0; i < 20; ++i) {
    samples.push_back(scale * (1 + 0.3 * ((i * 7) % 5)));
    rounds.push_back(i);
  }
  record["time"]["samples"] = samples;
  record["time"]["round"] = rounds;
  return record;
}

TEST(CompareRounds, OneSetIsComparedRoundByRoundUnlessUnpairedIsAsked) {
  const Json a = with_rounds(make_record("full", 0, 1e6), 1e6);
  const Json b = with_rounds(make_record("full", 0, 1.5e6), 1.1e6);
  const auto paired = compare_records({a}, {b}).front();
  EXPECT_TRUE(paired.paired);
  EXPECT_NEAR(*paired.ratio, 1.1, 1e-9);
  const auto unpaired = compare_records({a}, {b}, {.unpaired = true}).front();
  EXPECT_FALSE(unpaired.paired);
  EXPECT_NEAR(*unpaired.ratio, 1.5, 1e-9);
  Json elsewhere = b;
  elsewhere["run"] = "run-2";
  EXPECT_FALSE(compare_records({a}, {elsewhere}).front().paired);
}

TEST(ComparePhases, PhasesOfBothSidesHaveARowEach) {
  Json a = make_record("full", 0, 1e6);
  Json b = make_record("full", 0, 1e6);
  a["phases"] = {{{"name", "embed"}, {"median_ns", 100.0}},
                 {{"name", "head"}, {"median_ns", 10.0}}};
  b["phases"] = {{{"name", "embed"}, {"median_ns", 104.0}},
                 {{"name", "other"}, {"median_ns", 1.0}}};
  const auto rows = compare_records({a}, {b});
  ASSERT_EQ(rows.front().phases.size(), 1u);
  const Table table = comparison_table(rows, {.phases = true});
  EXPECT_EQ(table.rows[1][0], Cell("    embed"));
  EXPECT_EQ(table.rows[1][5], Cell("1.04x slower ?"));
}

TEST(FingerprintDifferences, AreSaidInWordsOnceEach) {
  const Json a = {{"build", "b1"},
                  {"machine",
                   {{"cpu_model", "X"},
                    {"governor", "performance"},
                    {"deciding", {{"cpu_model", "X"}, {"cores", "2"}}}}}};
  Json b = a;
  EXPECT_TRUE(fingerprint_differences(a, b).empty());
  b["machine"]["cpu_model"] = b["machine"]["deciding"]["cpu_model"] = "Y";
  b["machine"]["governor"] = nullptr;
  b["build"] = "b2";
  EXPECT_THAT(fingerprint_differences(a, b),
              ElementsAre("cpu_model: 'X' in A, 'Y' in B", "build: 'b1' in A, 'b2' in B",
                          HasSubstr("machine governor: 'performance' in A")));
}

// ---- the paper ---------------------------------------------------------------------------------

TEST(Paper, TheCostModelGivesEveryPointOfFigureFour) {
  const auto items = paper_items(PaperRecords(std::vector<Json>{}), {});
  int speedups = 0;
  for (const PaperItem& item : items) {
    if (!item.where.starts_with("figure 4") || item.unit != "x") continue;
    ++speedups;
    EXPECT_TRUE(item.model_agrees()) << item.what << ' ' << *item.model;
    EXPECT_FALSE(item.measured);
    EXPECT_FALSE(item.why.empty());
  }
  EXPECT_EQ(speedups, 22);
}

TEST(Paper, AMeasuredNumberNamesItsRun) {
  Json record = with_speedup(make_record("cached", 9, 1e6), 3.02, 3.23);
  bool found = false;
  for (const PaperItem& item : paper_items(PaperRecords(std::vector<Json>{record}), {})) {
    if (item.what != "bert-base squad k=9 speedup" || item.where != "table 1") continue;
    found = true;
    EXPECT_EQ(item.measured, 3.02);
    EXPECT_EQ(item.run, "run-1");
    EXPECT_TRUE(item.why.empty());
  }
  EXPECT_TRUE(found);
}

std::optional<double> measured_of(const std::vector<Json>& records, std::string_view what) {
  for (const PaperItem& item : paper_items(PaperRecords(records), {})) {
    if (item.what == what) return item.measured;
  }
  ADD_FAILURE() << "no item " << what;
  return {};
}

TEST(Paper, OnlyThePapersShapesCountAsMeasured) {
  const Json plain = with_speedup(make_record("cached", 9, 1e6), 3.02, 3.23);
  const std::string what = "bert-base squad k=9 speedup";
  EXPECT_EQ(measured_of({plain}, what), 3.02);
  const std::vector<std::pair<const char*, Json>> others = {
      {"question", 20}, {"passage", 100},       {"r", 4}, {"c", 2}, {"order", "passage-first"},
      {"instances", 2}, {"cache_dtype", "int8"}};
  for (const auto& [name, value] : others) {
    Json other = plain;
    other["point"][name] = value;
    EXPECT_EQ(measured_of({other}, what), std::nullopt) << name;
  }
  Json slowed = plain;
  slowed["injected"] = "layer=3 by 10 %";
  EXPECT_EQ(measured_of({slowed}, what), std::nullopt);
}

TEST(Paper, XlnetReadsThePassageFirst) {
  Json record = with_speedup(make_record("cached", 8, 1e6), 2.4, 2.6);
  record["point"]["model"] = "xlnet-base";
  EXPECT_EQ(measured_of({record}, "xlnet-base squad k=8 speedup"), std::nullopt);
  record["point"]["order"] = "passage-first";
  EXPECT_EQ(measured_of({record}, "xlnet-base squad k=8 speedup"), 2.4);
}

TEST(Paper, MemoryReductionComparesTheSameBatch) {
  const auto requested = [](const char* variant, int split, int batch, double bytes) {
    Json record = make_record(variant, split, 1e6);
    record["point"]["batch"] = batch;
    record["memory"]["requested_bytes"] = bytes;
    return record;
  };
  const std::string what = "bert-base squad memory reduction";
  const Json small = requested("full", 0, 1, 100);
  const Json full = requested("full", 0, 32, 3200);
  const Json cached = requested("cached", 9, 32, 800);
  EXPECT_EQ(measured_of({small, full, cached}, what), 75);
  EXPECT_EQ(measured_of({small, cached}, what), std::nullopt);
  EXPECT_EQ(measured_of({small, full}, what), std::nullopt);
}

TEST(Paper, TheAppendixCostsWhatThePaperPrinted) {
  for (const PaperItem& item : paper_items(PaperRecords(std::vector<Json>{}), {})) {
    if (item.what == "a month without") {
      EXPECT_NEAR(*item.model, 148.5, 0.05);
    }
    if (item.what == "a month with the cache") {
      EXPECT_NEAR(*item.model, 61.7, 0.15);
    }
  }
}

TEST(Paper, EveryItemThatDoesNotReproduceIsShownByANumber) {
  const Table table = paper_discrepancies(PaperRecords(std::vector<Json>{}));
  ASSERT_EQ(table.rows.size(), 10u);
  EXPECT_THAT(table.rows[1][2].text(), HasSubstr("1.78x caching the second segment, 1.47x"));
  EXPECT_THAT(table.rows[2][2].text(), HasSubstr("FLOP ratio is 1.22x"));
  EXPECT_THAT(table.rows[8][2].text(), HasSubstr("2.14x"));
}

// ---- figures -----------------------------------------------------------------------------------

TEST(Figures, HostileNamesAndPointsThatAreNoNumbersAreHarmless) {
  const Figure figure{
      "<b>&", "x", "y", {{"</svg>\\end", {{1, 2, 1.5, 2.5}, {2, NAN, {}, {}}}, false}}};
  const std::string svg = svg_plot(figure);
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_EQ(svg.find("</svg>"), svg.rfind("</svg>"));
  EXPECT_THAT(pgfplots_plot(figure, false), Not(HasSubstr("\\end </")));
  EXPECT_THAT(pgfplots_plot(figure, false), HasSubstr("(1,2) += (0,0.5) -= (0,0.5)"));
  EXPECT_THAT(terminal_plot(figure), HasSubstr("o"));
  EXPECT_FALSE(terminal_plot({"", "", "", {}}).empty());
}

TEST(Figures, TicksCoverTheRangeInRoundSteps) {
  EXPECT_THAT(axis_ticks(0, 6.4, 8), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(axis_ticks(13, 23, 5), ElementsAre(14, 16, 18, 20, 22, 24));
}

}  // namespace
}  // namespace deformer
