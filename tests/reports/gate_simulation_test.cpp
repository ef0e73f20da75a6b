// The judge against made-up measurements whose truth is known: does it keep its promises?

#include <gtest/gtest.h>

#include <cmath>

#include "reports/gate/distributions.hpp"
#include "reports/gate/estimate.hpp"
#include "reports/gate/verdict.hpp"
#include "tests/reports/gate_simulation.hpp"

namespace deformer {
namespace {

constexpr std::size_t kPairs = 12;
constexpr std::size_t kRounds = 15;

struct Rates {
  int gates = 0;
  int regressed = 0, improved = 0, passed = 0, ambiguous = 0;  ///< the point with the effect
  int elsewhere = 0;  ///< gates that alarm at a point without one

  double share(int count) const { return count / static_cast<double>(gates); }
};

/// A gate of some points, the first with an effect, as `gate measure` has it: what is suspected is
/// measured again.
GateResult gate_of(Simulation& simulation, std::size_t points, double effect, std::size_t pairs) {
  GateRules rules;
  rules.confirm = true;
  std::vector<GatePoint> measured;
  for (std::size_t p = 0; p < points; ++p) {
    measured.push_back(simulation.point(pairs, kRounds, p == 0 ? effect : 0));
  }
  GateInput input = simulated_gate(std::move(measured));
  GateResult result = judge(input, rules);
  bool again = false;
  for (std::size_t p = 0; p < points; ++p) {
    if (result.points[p].suspected) {
      again = true;
      for (std::size_t i = 0; i < pairs; ++i) {
        input.points[p].pairs.push_back(simulation.pair(kRounds, p == 0 ? effect : 0, 0, true));
      }
    }
  }
  return again ? judge(input, rules) : result;
}

Rates rates_of(SimulatedNoise noise, int gates, std::size_t points, double effect,
               std::size_t pairs = kPairs) {
  Simulation simulation(20240607, noise);
  Rates rates;
  rates.gates = gates;
  for (int g = 0; g < gates; ++g) {
    const GateResult result = gate_of(simulation, points, effect, pairs);
    const Verdict first = result.points[0].verdict;
    rates.regressed += first == Verdict::regressed ? 1 : 0;
    rates.improved += first == Verdict::improved ? 1 : 0;
    rates.passed += first == Verdict::pass ? 1 : 0;
    rates.ambiguous += first == Verdict::ambiguous ? 1 : 0;
    bool elsewhere = false;
    for (std::size_t p = 1; p < points; ++p) {
      elsewhere = elsewhere || result.points[p].verdict == Verdict::regressed;
    }
    rates.elsewhere += elsewhere ? 1 : 0;
  }
  return rates;
}

double upper_bound(int count, int trials) {
  return clopper_pearson(count, trials, 0.95).high;
}
double lower_bound(int count, int trials) {
  return clopper_pearson(count, trials, 0.95).low;
}

TEST(GateSimulation, NoFalseAlarmsOnAnOrdinaryMachine) {
  const Rates rates = rates_of({}, 800, 4, 0);
  EXPECT_LE(upper_bound(rates.regressed + rates.elsewhere, rates.gates), 0.01);
  EXPECT_GE(rates.share(rates.passed), 0.99);
}

// Where noise is many times the threshold nothing can be seen, and nothing may be called.
TEST(GateSimulation, NoFalseAlarmsOnAMachineInUproar) {
  const Rates rates = rates_of(
      {.process_ln = 0.05, .round_ln = 0.05, .drift_ln = 0.1, .spikes = 0.2}, 800, 4, 0, 6);
  EXPECT_LE(upper_bound(rates.regressed + rates.elsewhere, rates.gates), 0.01);
  EXPECT_GE(rates.share(rates.ambiguous), 0.8);
}

TEST(GateSimulation, FalseAlarmsAreRareEvenWithoutConfirmation) {
  Simulation simulation(5, {.process_ln = 0.05, .round_ln = 0.05, .drift_ln = 0.1, .spikes = 0.2});
  int alarms = 0;
  constexpr int kGates = 1500;
  for (int g = 0; g < kGates; ++g) {
    std::vector<GatePoint> points;
    for (int p = 0; p < 3; ++p) {
      points.push_back(simulation.point(6, kRounds));
    }
    alarms += judge(simulated_gate(std::move(points)), {}).verdict == Verdict::regressed ? 1 : 0;
  }
  EXPECT_LE(upper_bound(alarms, kGates), 0.01);
}

TEST(GateSimulation, ThreePercentIsFoundAmongFourPoints) {
  const Rates rates = rates_of({}, 400, 4, 0.03, 16);
  EXPECT_GE(lower_bound(rates.regressed, rates.gates), 0.95);
  EXPECT_LE(upper_bound(rates.elsewhere, rates.gates), 0.015);
}

TEST(GateSimulation, FivePercentIsAlwaysFoundAndMissedByNobody) {
  const Rates rates = rates_of({}, 400, 4, 0.05);
  EXPECT_EQ(rates.regressed, rates.gates);
}

// A change that matters to nobody must not switch the gate off.
TEST(GateSimulation, OnePercentDoesNotAlarm) {
  EXPECT_LE(rates_of({}, 400, 1, 0.01, 16).share(rates_of({}, 400, 1, 0.01, 16).regressed), 0.05);
}

TEST(GateSimulation, ASpeedUpIsImproved) {
  const Rates rates = rates_of({}, 200, 2, -0.05);
  EXPECT_EQ(rates.improved, rates.gates);
}

// What the threshold promises: a slowdown of just that much does not pass.
TEST(GateSimulation, ASlowdownOfTheThresholdRarelyPasses) {
  const Rates rates = rates_of({.process_ln = 0.01}, 600, 1, 0.03, 8);
  EXPECT_LE(upper_bound(rates.passed, rates.gates), 0.05);
}

// The smallest effect that a run says it could have seen is seen in 95 of 100 gates.
TEST(GateSimulation, TheSmallestEffectIsWhatItSays) {
  Simulation calm(11);
  double smallest = 0;
  constexpr int kTrials = 100;
  for (int i = 0; i < kTrials; ++i) {
    smallest +=
        judge(simulated_gate({calm.point(kPairs, kRounds)}), {}).points[0].time->smallest_effect /
        kTrials;
  }
  Simulation slowed(12);
  int seen = 0;
  constexpr int kGates = 600;
  for (int g = 0; g < kGates; ++g) {
    const GateInput input = simulated_gate({slowed.point(kPairs, kRounds, smallest)});
    seen += judge(input, {}).verdict == Verdict::regressed ? 1 : 0;
  }
  EXPECT_GE(seen / static_cast<double>(kGates), 0.93);
}

struct CoverageCase {
  const char* name;
  SimulatedNoise noise;
};

class GateCoverage : public testing::TestWithParam<CoverageCase> {};

// Rounds of a process share its layout, drift together and have heavy tails: an interval that takes
// them for independent covers the truth half the time or less.
TEST_P(GateCoverage, IntervalsHoldTheTruthNineteenTimesInTwenty) {
  Simulation simulation(77, GetParam().noise);
  constexpr double kTruth = 0.02;
  constexpr int kTrials = 1500;
  int held = 0;
  for (int i = 0; i < kTrials; ++i) {
    const GatePoint point = simulation.point(10, kRounds, kTruth);
    const Estimate found = estimate(*locate(point, Figure::time, {}), 0.03, {}, 1);
    held += found.ci_low <= 1 + kTruth && 1 + kTruth <= found.ci_high ? 1 : 0;
  }
  EXPECT_GE(held / static_cast<double>(kTrials), 0.935);
}

INSTANTIATE_TEST_SUITE_P(
    Noises, GateCoverage,
    testing::Values(CoverageCase{"ordinary", {}},
                    CoverageCase{"layout", {.process_ln = 0.02, .round_ln = 0.002}},
                    CoverageCase{"drift", {.drift_ln = 0.1, .correlation = 0.98}},
                    CoverageCase{"tails", {.round_ln = 0.05, .spikes = 0.2}}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace deformer
