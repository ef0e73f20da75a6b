#include "reports/compare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <random>

#include "profilers/statistics.hpp"
#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::Contains;
using testing::HasSubstr;

Json timed(const std::string& key, double median, double low, double high) {
  Json record = make_record("cached", 9, median);
  record["key"] = record["name"] = key;
  record["time"]["ci_low"] = low;
  record["time"]["ci_high"] = high;
  return record;
}

/// The words for a ratio with this interval.
std::string words(double ratio, double low, double high) {
  Comparison row;
  row.ratio = ratio;
  row.ci_low = low;
  row.ci_high = high;
  return comparison_json(row)["change"];
}

TEST(Compare, RatioIsOfMediansAndAboveOneIsSlower) {
  const auto rows = compare_records({timed("k", 100, 99, 101)}, {timed("k", 104, 103, 105)});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].status, "ok");
  EXPECT_DOUBLE_EQ(*rows[0].ratio, 1.04);
  EXPECT_EQ(rows[0].a_median_ns, 100);
  EXPECT_EQ(rows[0].b_median_ns, 104);
  // Distances add in squares on a log scale: sqrt(ln(104/103)^2 + ln(101/100)^2) below, and a
  // tenth.
  const double below = 1.1 * std::hypot(std::log(104. / 103), std::log(101. / 100));
  const double above = 1.1 * std::hypot(std::log(105. / 104), std::log(100. / 99));
  EXPECT_NEAR(*rows[0].ci_low, 1.04 * std::exp(-below), 1e-12);
  EXPECT_NEAR(*rows[0].ci_high, 1.04 * std::exp(above), 1e-12);
}

TEST(Compare, AFileAgainstItselfShowsNoDifference) {
  const std::vector<Json> file = {timed("k", 100, 99, 101), timed("l", 50, 50, 50)};
  for (const Comparison& row : compare_records(file, file)) {
    EXPECT_EQ(row.ratio, 1.0);
    EXPECT_EQ(comparison_json(row)["change"], "~");
  }
}

TEST(Compare, RatiosAreSaidExactly) {
  EXPECT_EQ(words(1.04, 1.02, 1.06), "1.04x slower");
  EXPECT_EQ(words(1 / 1.1, 0.9, 0.93), "1.10x faster");
  EXPECT_EQ(words(1.0042, 1.003, 1.005), "1.0042x slower");
  EXPECT_EQ(words(12.34, 12, 13), "12.3x slower");
  EXPECT_EQ(words(1.04, 0.99, 1.1), "~");
  EXPECT_EQ(words(1.04, 1.0, 1.1), "~");
}

TEST(Compare, SwappingSidesInvertsTheRatioAndItsInterval) {
  const Json a = timed("k", 100, 97, 101);
  const Json b = timed("k", 104, 103, 109);
  const Comparison forth = compare_records({a}, {b})[0];
  const Comparison back = compare_records({b}, {a})[0];
  EXPECT_NEAR(*forth.ratio * *back.ratio, 1, 1e-12);
  EXPECT_NEAR(*forth.ci_low * *back.ci_high, 1, 1e-12);
  EXPECT_NEAR(*forth.ci_high * *back.ci_low, 1, 1e-12);
}

TEST(Compare, TheOrderIsThatOfAThenWhatOnlyBHas) {
  const auto rows = compare_records({timed("a", 1, 1, 1), timed("both", 1, 1, 1)},
                                    {timed("b", 1, 1, 1), timed("both", 1, 1, 1)});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name + ": " + rows[0].status, "a: only in A");
  EXPECT_EQ(rows[1].name + ": " + rows[1].status, "both: ok");
  EXPECT_EQ(rows[2].name + ": " + rows[2].status, "b: only in B");
  EXPECT_FALSE(rows[0].ratio);
  EXPECT_FALSE(rows[2].ratio);
  EXPECT_THAT(comparison_table(rows).notes,
              Contains(HasSubstr("1 only in A, 1 only in B, 0 without")));
}

TEST(Compare, OnlyOkRecordsWithATimeAreCompared) {
  const Json good = timed("k", 100, 99, 101);
  Json invalid = good;
  invalid["status"] = "invalid";
  Json skipped = good;
  skipped["status"] = "skipped";
  Json timeless = good;
  timeless["time"] = nullptr;
  const auto status = [](const Json& a, const Json& b) {
    const Comparison row = compare_records({a}, {b})[0];
    EXPECT_FALSE(row.ratio);
    return row.status;
  };
  EXPECT_EQ(status(good, invalid), "invalid in B");
  EXPECT_EQ(status(invalid, good), "invalid in A");
  EXPECT_EQ(status(skipped, skipped), "skipped in both");
  EXPECT_EQ(status(skipped, invalid), "skipped in A, invalid in B");
  EXPECT_EQ(status(timeless, good), "no time in A");
}

TEST(Compare, TheLastRecordOfAKeyCounts) {
  const auto rows = compare_records({timed("k", 50, 50, 50), timed("k", 100, 99, 101)},
                                    {timed("k", 104, 103, 105)});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_DOUBLE_EQ(*rows[0].ratio, 1.04);
}

TEST(Compare, WithoutAnIntervalTheRatioCarriesAQuestionMark) {
  Json few = timed("k", 104, 0, 0);
  few["time"]["ci_low"] = few["time"]["ci_high"] = nullptr;
  const auto rows = compare_records({timed("k", 100, 99, 101)}, {few});
  EXPECT_EQ(comparison_json(rows[0])["change"], "1.04x slower ?");
  EXPECT_TRUE(comparison_json(rows[0])["ci_low"].is_null());
  EXPECT_THAT(comparison_table(rows).notes, Contains(HasSubstr("?: too few rounds")));
}

TEST(Compare, TableGolden) {
  Json invalid = timed("c", 5e6, 4.9e6, 5.1e6);
  invalid["status"] = "invalid";
  const auto rows = compare_records(
      {timed("a", 100e6, 99.5e6, 100.5e6), timed("b", 2e6, 1.9e6, 2.1e6),
       timed("c", 5e6, 4.9e6, 5.1e6)},
      {timed("a", 110e6, 109.5e6, 110.5e6), timed("b", 2.01e6, 1.9e6, 2.1e6), invalid});
  EXPECT_EQ(print_table(comparison_table(rows), TableFormat::console),
            R"(point                 A        B     B/A     95 % interval  change        status
--------------  -------  -------  ------  ----------------  ------------  ------------
a                100 ms   110 ms  1.1000  [1.0919, 1.1082]  1.10x slower  ok
b               2.00 ms  2.01 ms  1.0050  [0.9259, 1.0824]  ~             ok
c               5.00 ms        -       -                 -  -             invalid in B
geometric mean                    1.0514  [1.0055, 1.0952]  1.05x slower  of 2

B/A: ratio of the medians, above 1 is slower; ~: its 95 % interval holds 1
not compared: 0 only in A, 0 only in B, 1 without a valid time
)");
}

TEST(Compare, TheMeanIsGeometricAndOfPairsOnly) {
  const auto rows =
      compare_records({timed("a", 100, 100, 100), timed("b", 100, 100, 100), timed("c", 1, 1, 1)},
                      {timed("a", 200, 200, 200), timed("b", 800, 800, 800)});
  const Table table = comparison_table(rows);
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(table.rows[3][0], "geometric mean");
  EXPECT_EQ(human_cell(table.columns[3], table.rows[3][3]), "4.0000");
  EXPECT_EQ(human_cell(table.columns[4], table.rows[3][4]), "[4.0000, 4.0000]");
  EXPECT_EQ(table.rows[3][6], "of 2");
  EXPECT_EQ(comparison_table({}).rows.size(), 0u);
}

TEST(Compare, BrokenRecordsNeverThrow) {
  const std::vector<Json> broken = {Json(nullptr),
                                    Json::array(),
                                    Json{{"key", 3}, {"status", "ok"}, {"time", 5}},
                                    timed("zero", 0, 0, 0),
                                    timed("huge", 1e308, 1e-308, 1e308),
                                    timed("crossed", 100, 101, 99)};
  const auto rows = compare_records(broken, broken);
  for (const Comparison& row : rows) comparison_json(row).dump();
  const std::string out = print_table(comparison_table(rows), TableFormat::markdown);
  EXPECT_THAT(out, testing::Not(HasSubstr("nan")));
  EXPECT_THAT(out, testing::Not(HasSubstr("inf")));
}

TEST(Compare, ADifferenceBeyondTheNoiseIsSeenAndOneWithinItIsNot) {
  const Json a = timed("k", 100, 99, 101);  // +-1 %, what the harness stops at
  EXPECT_EQ(comparison_json(compare_records({a}, {timed("k", 101, 100, 102)})[0])["change"], "~");
  EXPECT_EQ(comparison_json(compare_records({a}, {timed("k", 102, 101, 103)})[0])["change"],
            "1.02x slower");
}

// ---- coverage
// ----------------------------------------------------------------------------------------

struct Noise {
  const char* name;
  double sigma;
  double correlation;  ///< of successive rounds, AR(1)
  double outliers;     ///< share of rounds that take a quarter longer
};

/// Samples of rounds around `centre`: log-normal AR(1) with outliers.
std::vector<double> draw(std::mt19937_64& random, const Noise& noise, double centre,
                         std::size_t rounds) {
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<double> samples;
  double state = normal(random);
  for (std::size_t i = 0; i < rounds; ++i) {
    const double spike = uniform(random) < noise.outliers ? 1.25 : 1.0;
    samples.push_back(centre * std::exp(noise.sigma * state) * spike);
    state = noise.correlation * state +
            std::sqrt(1 - noise.correlation * noise.correlation) * normal(random);
  }
  return samples;
}

/// A record as the harness would make it of a series of rounds: it looks at 10, 15, 22, ... rounds
/// and stops at the first look whose interval is within +-1 %, or at the last.
Json measured(const std::vector<double>& series) {
  for (const auto look : look_schedule(static_cast<std::int64_t>(series.size()))) {
    const std::vector<double> seen(series.begin(), series.begin() + look);
    const double centre = *median(seen);
    const Interval interval = *median_interval(seen);
    if (within(interval, centre, 0.01) ||
        next_look(look) > static_cast<std::int64_t>(series.size())) {
      return timed("k", centre, interval.low, interval.high);
    }
  }
  return nullptr;
}

struct Trial {
  double coverage = 0;
  double width = 0;
};

Trial simulate(const Noise& noise, std::size_t a_rounds, std::size_t b_rounds) {
  constexpr int kTrials = 2000;
  constexpr double kTruth = 1.05;
  std::mt19937_64 random(7);
  Trial result;
  for (int i = 0; i < kTrials; ++i) {
    const Json a = measured(draw(random, noise, 1e6, a_rounds));
    const Json b = measured(draw(random, noise, kTruth * 1e6, b_rounds));
    const Comparison row = compare_records({a}, {b})[0];
    result.coverage += (*row.ci_low <= kTruth && kTruth <= *row.ci_high) ? 1.0 / kTrials : 0;
    result.width += (*row.ci_high - *row.ci_low) / kTrials;
  }
  return result;
}

TEST(CompareLong, TheIntervalHoldsTheTrueRatioInNineteenOfTwentyFiles) {
  const std::vector<Noise> noises = {
      {"quiet 0.5 %", 0.005, 0, 0},    {"noise 2 %", 0.02, 0, 0},
      {"noise 5 %", 0.05, 0, 0},       {"AR(1) 0.3, 2 %", 0.02, 0.3, 0},
      {"outliers 10 %", 0.01, 0, 0.1}, {"AR(1) 0.3 + outliers", 0.02, 0.3, 0.1}};
  const std::vector<std::pair<std::size_t, std::size_t>> rounds = {
      {10, 10}, {22, 22}, {110, 110}, {10, 110}, {22, 553}};
  for (const Noise& noise : noises) {
    for (const auto& [a, b] : rounds) {
      const Trial trial = simulate(noise, a, b);
      std::printf("%-22s %3zu and %3zu rounds at most: coverage %.1f %%, width %.2f %%\n",
                  noise.name, a, b, 100 * trial.coverage, 100 * trial.width);
      EXPECT_GE(trial.coverage, 0.95) << noise.name;
    }
  }
}

}  // namespace
}  // namespace deformer
