#include "reports/gate/estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reports/gate/distributions.hpp"
#include "reports/gate/other_rules.hpp"
#include "tests/reports/gate_simulation.hpp"

namespace deformer {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

TEST(GateDistributions, AgreeWithPublishedTables) {
  EXPECT_NEAR(student_quantile(0.975, 9), 2.262, 5e-4);
  EXPECT_NEAR(student_quantile(0.975, kInfinite), 1.959964, 1e-6);
  EXPECT_NEAR(student_upper(2.262157, 9), 0.025, 1e-6);
  EXPECT_NEAR(student_upper(1.644854, kInfinite), 0.05, 1e-6);
  EXPECT_NEAR(fisher_upper(3.3258, 5, 10), 0.05, 1e-4);
}

TEST(GateDistributions, ClopperPearsonOfNoneAndAllIsOneSided) {
  const Interval none = clopper_pearson(0, 10000, 0.95);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 1 - std::pow(0.025, 1e-4), 1e-9);
  EXPECT_EQ(clopper_pearson(20, 20, 0.95).high, 1);
  const Interval some = clopper_pearson(10, 100, 0.95);
  EXPECT_NEAR(some.low, 0.0490, 5e-5);
  EXPECT_NEAR(some.high, 0.1762, 5e-5);
}

// The example in scipy's documentation of mannwhitneyu, method="asymptotic".
TEST(GateOtherRules, MannWhitneyAgreesWithScipy) {
  const std::vector<double> males = {19, 22, 16, 29, 24};
  const std::vector<double> females = {20, 11, 17, 12};
  EXPECT_NEAR(mann_whitney_p(males, females), 0.11134688653314041, 1e-9);
  EXPECT_NEAR(mann_whitney_p(females, males), 0.11134688653314041, 1e-9);
}

// Ranks 2 2 5 against 2 5 5: U = 3 of a mean of 4.5, variance 9/12 (7 - 48/30) = 4.05.
TEST(GateOtherRules, MannWhitneyCorrectsForTies) {
  EXPECT_NEAR(mann_whitney_p(std::vector<double>{1, 1, 2}, std::vector<double>{1, 2, 2}),
              2 * student_upper(1 / std::sqrt(4.05), kInfinite), 1e-12);
}

TEST(GateOtherRules, MannWhitneyOfEqualOrNoSamplesSaysNothing) {
  EXPECT_EQ(mann_whitney_p(std::vector<double>(9, 1.0), std::vector<double>(9, 1.0)), 1);
  EXPECT_EQ(mann_whitney_p({}, std::vector<double>{1, 2}), 1);
}

// The fifteen p-values of Benjamini and Hochberg's own example: four are rejected at 5 %.
TEST(GateCorrection, BenjaminiHochbergAgreesWithItsPaper) {
  const std::vector<double> p = {0.0459, 0.0001, 0.3240, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278,
                                 0.0298, 0.0344, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const std::vector<bool> expected = {false, true,  false, true,  true,  true,  false, false,
                                      false, false, false, false, false, false, false};
  EXPECT_EQ(rejected(p, 0.05), expected);
}

TEST(GateCorrection, WhatIsCalledEarlyIsStillCalledInTheWholeFamily) {
  EXPECT_TRUE(rejected(std::vector<double>{0.004}, 0.05, 12)[0]);
  EXPECT_FALSE(rejected(std::vector<double>{0.006}, 0.05, 12)[0]);
  EXPECT_TRUE(rejected(std::vector<double>{0.006}, 0.05)[0]);
}

TEST(GateEstimate, TheCentreOfFewPairsIsTheirMean) {
  const auto found = locate(std::vector<double>{0.01, 0.02, 0.06}, 0, 0, 0.02);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->centre, 0.03, 1e-12);
  EXPECT_NEAR(found->error, std::sqrt(0.0007 / 3), 1e-12);  // variance 0.0007
  EXPECT_EQ(found->degrees_of_freedom, 2);
}

// One of ten pairs ran beside something else: trimmed mean and winsorised variance by hand.
TEST(GateEstimate, APairInTenMayBeSpoilt) {
  std::vector<double> differences = {0.001, 0.002, 0.003, 0.004, 0.005,
                                     0.006, 0.007, 0.008, 0.009, 0.5};
  const auto found = locate(differences, 0, 0, 0.02);
  EXPECT_NEAR(found->centre, 0.0055, 1e-12);
  // Winsorised: 2 2 3 4 5 6 7 8 9 9; squares about their mean 5.5 sum to 66.5e-6.
  EXPECT_NEAR(found->error, std::sqrt(66.5e-6 / (8 * 7)), 1e-9);
  EXPECT_EQ(found->degrees_of_freedom, 7);
}

TEST(GateEstimate, CalibrationLendsItsDegreesOfFreedom) {
  const std::vector<double> differences = {-0.001, 0.001, 0.0};
  const auto found = locate(differences, 0.002, 18, 0.02);
  EXPECT_EQ(found->degrees_of_freedom, 20);
  EXPECT_NEAR(found->error, std::sqrt((18 * 4e-6 + 2 * 1e-6) / 20 / 3), 1e-12);
}

TEST(GateEstimate, ARunNoisierThanItsCalibrationIsNotBelievedToBeCalm) {
  const std::vector<double> differences = {-0.05, 0.05, 0.02};
  const auto found = locate(differences, 0.002, 18, 0.02);
  EXPECT_EQ(found->degrees_of_freedom, 2);
  EXPECT_GT(found->error, 0.02);
}

TEST(GateEstimate, OnePairAloneHasAssumedNoise) {
  const auto found = locate(std::vector<double>{0.01}, 0, 0, 0.02);
  EXPECT_TRUE(found->assumed_noise);
  EXPECT_NEAR(found->error, 0.02 * std::sqrt(2), 1e-12);
  EXPECT_FALSE(locate(std::vector<double>{0.01}, 0.003, 9, 0.02)->assumed_noise);
  EXPECT_FALSE(locate(std::vector<double>{}, 0.003, 9, 0.02));
}

TEST(GateEstimate, EqualNumbersAreNotCertainty) {
  EXPECT_GT(locate(std::vector<double>{0.01, 0.01, 0.01}, 0, 0, 0.02)->error, 0);
}

TEST(GateEstimate, RoundsOfOneProcessAreNoIndependentEvidence) {
  Simulation simulation(3, {.process_ln = 0.01, .round_ln = 0.001, .drift_ln = 0, .spikes = 0});
  GatePoint few = simulation.point(8, 10);
  GatePoint many = simulation.point(8, 1000);
  const GateRules rules;
  const double error_few = locate(few, Figure::time, rules)->error;
  const double error_many = locate(many, Figure::time, rules)->error;
  EXPECT_GT(error_few, 0.002);
  EXPECT_GT(error_many, 0.002);  // a hundred times the rounds, the same processes
}

TEST(GateEstimate, MoreProcessesOfASessionDoNotReduceWhatIsAssumedOfIt) {
  Simulation simulation(4, {.process_ln = 0.001, .round_ln = 0.001, .drift_ln = 0, .spikes = 0});
  GatePoint point = Simulation::named("p", "full");
  for (int i = 0; i < 50; ++i) {
    point.base_alone.push_back(simulation.alone(20));
    point.head_alone.push_back(simulation.alone(20));
  }
  GateRules rules;
  rules.assumed_noise_ln = 0.02;
  const auto found = locate(point, Figure::time, rules);
  EXPECT_TRUE(found->assumed_noise);
  EXPECT_NEAR(found->error, 0.02 * std::sqrt(2), 1e-3);
  EXPECT_FALSE(found->paired);
}

TEST(GateEstimate, WhatCannotBeConfirmedMustBeSurer) {
  GateRules rules;
  EXPECT_NEAR(alarm_level(rules, false), 0.005, 1e-12);
  EXPECT_NEAR(alarm_level(rules, true), 0.025, 1e-12);
  rules.looks = 5;
  EXPECT_NEAR(alarm_level(rules, true), 0.005, 1e-12);
}

TEST(GateEstimate, WideIntervalsStayFinite) {
  const auto found = locate(std::vector<double>{-40, 40}, 0, 0, 0.02);
  const Estimate estimated = estimate(*found, 0.03, {}, 12);
  EXPECT_TRUE(std::isfinite(estimated.ci_high));
  EXPECT_TRUE(std::isfinite(estimated.smallest_effect));
  EXPECT_GT(estimated.ci_low, 0);
}

}  // namespace
}  // namespace deformer
