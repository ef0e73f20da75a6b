#include "profilers/statistics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace deformer {
namespace {

using testing::ElementsAre;

std::vector<double> one_to(int n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

/// Digits of agreement, as NIST's StRD counts them.
double agreeing_digits(double value, double certified) {
  if (value == certified) return 15;
  return -std::log10(std::abs(value - certified) / std::abs(certified));
}

/// 1001 values around an offset: offset + 0.2 once, then offset + 0.1 and offset + 0.3 in turn.
/// With offsets 1, 10^6 and 10^7 these are NIST's NumAcc2 to NumAcc4.
std::vector<double> num_acc(double first, double odd, double even) {
  std::vector<double> values = {first};
  for (int i = 0; i < 500; ++i) {
    values.push_back(odd);
    values.push_back(even);
  }
  return values;
}

/// NIST StRD "Michelso": A. A. Michelson's 100 determinations of the speed of light in air (1879).
const std::vector<double>& michelson() {
  static const std::vector<double> values = {
      299.85, 299.74, 299.90, 300.07, 299.93, 299.85, 299.95, 299.98, 299.98, 299.88,
      300.00, 299.98, 299.93, 299.65, 299.76, 299.81, 300.00, 300.00, 299.96, 299.96,
      299.96, 299.94, 299.96, 299.94, 299.88, 299.80, 299.85, 299.88, 299.90, 299.84,
      299.83, 299.79, 299.81, 299.88, 299.88, 299.83, 299.80, 299.79, 299.76, 299.80,
      299.88, 299.88, 299.88, 299.86, 299.72, 299.72, 299.62, 299.86, 299.97, 299.95,
      299.88, 299.91, 299.85, 299.87, 299.84, 299.84, 299.85, 299.84, 299.84, 299.84,
      299.89, 299.81, 299.81, 299.82, 299.80, 299.77, 299.76, 299.74, 299.75, 299.76,
      299.91, 299.92, 299.89, 299.86, 299.88, 299.72, 299.84, 299.85, 299.85, 299.78,
      299.89, 299.84, 299.78, 299.81, 299.76, 299.81, 299.79, 299.81, 299.82, 299.85,
      299.87, 299.87, 299.81, 299.74, 299.81, 299.94, 299.95, 299.80, 299.81, 299.87};
  return values;
}

TEST(MeanAndStdev, AgreeWithNistMichelso) {
  EXPECT_GE(agreeing_digits(*mean(michelson()), 299.852400000000), 14);
  EXPECT_GE(agreeing_digits(*stdev(michelson()), 0.0790105478190518), 12);
}

TEST(MeanAndStdev, AgreeWithNistNumAcc) {
  EXPECT_EQ(*mean(std::vector<double>{10000001, 10000003, 10000002}), 10000002);
  EXPECT_EQ(*stdev(std::vector<double>{10000001, 10000003, 10000002}), 1);

  const auto acc2 = num_acc(1.2, 1.1, 1.3);
  EXPECT_GE(agreeing_digits(*mean(acc2), 1.2), 14);
  EXPECT_GE(agreeing_digits(*stdev(acc2), 0.1), 14);
  const auto acc3 = num_acc(1000000.2, 1000000.1, 1000000.3);
  EXPECT_GE(agreeing_digits(*mean(acc3), 1000000.2), 14);
  EXPECT_GE(agreeing_digits(*stdev(acc3), 0.1), 9);  // what a double can hold of these samples
  const auto acc4 = num_acc(10000000.2, 10000000.1, 10000000.3);
  EXPECT_GE(agreeing_digits(*mean(acc4), 10000000.2), 14);
  EXPECT_GE(agreeing_digits(*stdev(acc4), 0.1), 8);
}

TEST(MeanAndStdev, KeepAllDigitsOfManySamplesFarFromZero) {
  EXPECT_NEAR(*mean(std::vector<double>(100'000, 1e9 + 0.1)), 1e9 + 0.1, 1.2e-7);  // one ulp
  EXPECT_NEAR(*stdev(num_acc(1e9, 1e9 - 0.5, 1e9 + 0.5)), 0.5, 1e-12);
}

TEST(MeanAndStdev, AreNulloptForTooFewOrNotFinite) {
  EXPECT_FALSE(mean({}));
  EXPECT_FALSE(stdev(std::vector<double>{1.0}));
  EXPECT_FALSE(mean(std::vector<double>{1.0, std::nan("")}));
  EXPECT_FALSE(stdev(std::vector<double>{1.0, std::numeric_limits<double>::infinity()}));
}

TEST(Median, IsTheMiddleOrTheMeanOfTheMiddleTwo) {
  EXPECT_FALSE(median({}));
  EXPECT_EQ(*median(std::vector<double>{7}), 7);
  EXPECT_EQ(*median(std::vector<double>{9, 1, 4}), 4);
  EXPECT_EQ(*median(std::vector<double>{9, 1, 4, 6}), 5);
  EXPECT_EQ(*median(michelson()), 299.85);
  EXPECT_EQ(*median(std::vector<double>{1e308, 1.5e308}), 1.25e308);  // no overflow on the way
  EXPECT_FALSE(median(std::vector<double>{1, std::nan(""), 2}));
}

TEST(Percentile, NeedsTheSamplesThatSupportIt) {
  EXPECT_FALSE(percentile(one_to(28), 0.9));
  EXPECT_EQ(*percentile(one_to(29), 0.9), 27);
  EXPECT_EQ(*percentile(one_to(30), 0.9), 27);  // 0.9 * 30 is a whole number
  EXPECT_FALSE(percentile(one_to(298), 0.99));
  EXPECT_EQ(*percentile(one_to(299), 0.99), 297);
  EXPECT_EQ(*percentile(one_to(1000), 0.99), 990);
  EXPECT_EQ(*percentile(one_to(100), 0.07), 7);
  EXPECT_FALSE(percentile(one_to(100), 1.0));
  EXPECT_FALSE(percentile(one_to(100), 0.0));
  EXPECT_FALSE(percentile({}, 0.5));
}

// Published tables of the distribution-free interval of a median, e.g. Conover, Practical
// Nonparametric Statistics, table A3; Dixon and Massey, Introduction to Statistical Analysis.
TEST(SignTest, RanksAgreeWithPublishedTablesAt95Percent) {
  const std::vector<std::pair<int, int>> table = {{6, 1},   {8, 1},   {9, 2},   {11, 2},  {12, 3},
                                                  {10, 2},  {15, 4},  {17, 5},  {20, 6},  {25, 8},
                                                  {30, 10}, {40, 14}, {50, 18}, {100, 40}};
  for (const auto& [n, r] : table) EXPECT_EQ(sign_test_rank(n, 0.95), r) << n;
  EXPECT_FALSE(sign_test_rank(5, 0.95));
  EXPECT_FALSE(sign_test_rank(1, 0.5));
  EXPECT_EQ(sign_test_rank(20, 0.99), 4);
  EXPECT_EQ(sign_test_rank(50, 0.99), 16);
}

TEST(SignTest, CoverageAgreesWithBinomialTables) {
  EXPECT_NEAR(sign_test_coverage(6, 1), 0.96875, 1e-12);
  EXPECT_NEAR(sign_test_coverage(10, 1), 1 - 2.0 / 1024, 1e-12);
  EXPECT_NEAR(sign_test_coverage(10, 2), 1 - 22.0 / 1024, 1e-12);  // 97.85 %
  EXPECT_NEAR(sign_test_coverage(15, 4), 0.9648, 5e-5);
  EXPECT_NEAR(sign_test_coverage(20, 6), 0.9586, 5e-5);
  EXPECT_NEAR(sign_test_coverage(25, 8), 0.9567, 5e-5);
  EXPECT_NEAR(sign_test_coverage(10, 5), 252.0 / 1024, 1e-12);  // the middle term alone
  EXPECT_EQ(sign_test_coverage(10, 6), 0);
}

TEST(SignTest, RankOfManySamplesFollowsTheNormalLimit) {
  const double n = 100'000;
  EXPECT_NEAR(static_cast<double>(*sign_test_rank(100'000, 0.95)),
              n / 2 - 1.959964 * std::sqrt(n) / 2, 1.0);
}

TEST(MedianInterval, NeedsSixFiniteSamples) {
  EXPECT_FALSE(median_interval(one_to(5)));
  EXPECT_TRUE(median_interval(one_to(6)));
  auto samples = one_to(10);
  samples[3] = std::nan("");
  EXPECT_FALSE(median_interval(samples));
}

TEST(MedianInterval, OfAlternatingSamplesIsTheSignTestsAt96Percent) {
  std::vector<double> samples;  // 1, 100, 2, 99, ...: signs alternate, nothing is widened
  for (int i = 1; i <= 50; ++i) {
    samples.push_back(i);
    samples.push_back(101 - i);
  }
  const Interval interval = *median_interval(samples);
  EXPECT_EQ(sign_test_rank(100, 0.96), 40);
  EXPECT_EQ(interval.low, 40);
  EXPECT_EQ(interval.high, 61);
}

TEST(MedianInterval, OfADriftIsFarWiderThanOfTheSameSamplesShuffled) {
  const Interval drift = *median_interval(one_to(100));
  EXPECT_LE(drift.low, 10);
  EXPECT_GE(drift.high, 91);
}

TEST(MedianInterval, OfEqualSamplesIsThatValue) {
  const Interval interval = *median_interval(std::vector<double>(20, 3.5));
  EXPECT_EQ(interval.low, 3.5);
  EXPECT_EQ(interval.high, 3.5);
}

TEST(MedianInterval, ScalesWithTheSamplesAndMirrors) {
  const std::vector<double> samples = {5, 9, 1, 7, 3, 8, 2, 6, 4, 12, 11, 10, 15, 13, 14, 16};
  std::vector<double> mirrored;
  for (const double x : samples) mirrored.push_back(-2 * x);
  const Interval a = *median_interval(samples);
  const Interval b = *median_interval(mirrored);
  EXPECT_EQ(b.low, -2 * a.high);
  EXPECT_EQ(b.high, -2 * a.low);
}

TEST(MedianInterval, IsNotMovedByTimeReversal) {
  auto samples = michelson();
  const Interval forwards = *median_interval(samples);
  std::reverse(samples.begin(), samples.end());
  const Interval backwards = *median_interval(samples);
  EXPECT_EQ(forwards.low, backwards.low);
  EXPECT_EQ(forwards.high, backwards.high);
}

TEST(LookSchedule, GrowsByHalf) {
  EXPECT_THAT(look_schedule(250), ElementsAre(10, 15, 22, 33, 49, 73, 109, 163, 244));
  EXPECT_THAT(look_schedule(10), ElementsAre(10));
  EXPECT_TRUE(look_schedule(9).empty());
  EXPECT_TRUE(look_schedule(-1).empty());
}

TEST(LookSchedule, NextLookIsTheFirstAfterTheRounds) {
  EXPECT_EQ(next_look(0), 10);
  EXPECT_EQ(next_look(9), 10);
  EXPECT_EQ(next_look(10), 15);
  EXPECT_EQ(next_look(16), 22);
  EXPECT_EQ(next_look(22), 33);
}

TEST(LookSchedule, EndsAtTheLargestNumberInsteadOfOverflowing) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(next_look(kMax - 1), kMax);
  EXPECT_EQ(next_look(kMax), kMax);
  EXPECT_EQ(look_schedule(kMax).back(), kMax);
}

TEST(Within, TakesBothEndsIn) {
  EXPECT_TRUE(within({99, 101}, 100, 0.01));
  EXPECT_FALSE(within({98.9, 101}, 100, 0.01));
  EXPECT_FALSE(within({99, 101.1}, 100, 0.01));
  EXPECT_TRUE(within({-101, -99}, -100, 0.01));
}

TEST(GeometricMean, IsOfPositiveNumbersOnly) {
  EXPECT_DOUBLE_EQ(*geometric_mean(std::vector<double>{1, 4}), 2);
  EXPECT_DOUBLE_EQ(*geometric_mean(std::vector<double>{2, 0.5, 8}), 2);
  EXPECT_NEAR(*geometric_mean(std::vector<double>{1e300, 1e300, 1e-300}), 1e100, 1e88);
  EXPECT_FALSE(geometric_mean({}));
  EXPECT_FALSE(geometric_mean(std::vector<double>{1, 0}));
  EXPECT_FALSE(geometric_mean(std::vector<double>{1, -2}));
}

TEST(Thin, KeepsFirstAndLastAndSpreadsEvenly) {
  EXPECT_THAT(thin(4, 10), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(thin(9, 5), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(thin(10, 4), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(thin(5, 1), ElementsAre(0));
  EXPECT_TRUE(thin(5, 0).empty());
  EXPECT_TRUE(thin(0, 5).empty());
  const auto kept = thin(123'457, 1000);
  ASSERT_EQ(kept.size(), 1000U);
  EXPECT_EQ(kept.front(), 0);
  EXPECT_EQ(kept.back(), 123'456);
  for (std::size_t i = 1; i < kept.size(); ++i) {
    EXPECT_GE(kept[i] - kept[i - 1], 123);
    EXPECT_LE(kept[i] - kept[i - 1], 124);
  }
}

}  // namespace
}  // namespace deformer
