#include "reports/gate/replay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.hpp"
#include "tests/reports/gate_simulation.hpp"

namespace deformer {
namespace {

constexpr SimulatedNoise kCalm = {.process_ln = 0.002, .round_ln = 0.004, .drift_ln = 0.004};
const ReplayPlan kPlan = {.gates = 300, .processes = 12, .fresh = 6, .first_look = 6};

/// Thirty pairs of two points of a group; `effect`: of head, in the record itself.
GateInput recorded(double effect, bool same_build, const SimulatedNoise& noise = kCalm) {
  Simulation simulation(42, noise);
  GatePoint full = simulation.point(30, 10, effect);
  full.variant = "full";
  for (GatePair& pair : full.pairs) {
    for (std::size_t r = 0; r < pair.base.size(); ++r) {
      pair.base[r].full_ns = pair.head[r].full_ns = 0;
    }
  }
  GateInput input = simulated_gate({std::move(full), simulation.point(30, 10, effect)});
  input.head.build = same_build ? input.base.build : "another";
  return input;
}

ReplayCount ours(const GateInput& input, const ReplayPlan& plan = kPlan) {
  return Replay(input).run(plan, {}).counts.at(0);
}

TEST(GateReplay, ARecordOfTwoBuildsKeepsItsSides) {
  const ReplayCount count = ours(recorded(0.1, false));
  EXPECT_EQ(count.alarms, kPlan.gates);
}

// In an A/A record a side cannot be the slower one: luck is shared out evenly.
TEST(GateReplay, SidesOfOneBuildAreExchanged) {
  const ReplayCount count = ours(recorded(0.1, true));
  EXPECT_LT(count.alarms, kPlan.gates / 4);
}

TEST(GateReplay, APlantedSlowdownIsFoundWhereItWasPlanted) {
  ReplayPlan plan = kPlan;
  plan.inject = 0.05;
  const ReplayCount count = ours(recorded(0, true), plan);
  EXPECT_EQ(count.alarms, plan.gates);
  EXPECT_EQ(count.elsewhere, 0);  // what a slower full does to its group's ratio is no false alarm
  EXPECT_EQ(count.undecided, 0);
}

TEST(GateReplay, AClearCaseEndsEarly) {
  EXPECT_EQ(ours(recorded(0, true)).pairs, 6 * kPlan.gates);
  ReplayPlan once = kPlan;
  once.first_look = 0;
  EXPECT_EQ(ours(recorded(0, true), once).pairs, 12 * kPlan.gates);
}

/// Noise in which ten pairs exclude a slowdown of 3 % and don't show a speed-up of 5 % yet.
constexpr SimulatedNoise kBusy = {.process_ln = 0.012, .round_ln = 0.01};
constexpr std::int64_t kBusyGates = 500;

GateInput recorded_busy() {
  Simulation simulation(7, kBusy);
  std::vector<GatePoint> points;
  for (int i = 0; i < 4; ++i) {
    points.push_back(simulation.point(120, 10));
  }
  return simulated_gate(std::move(points));
}

ReplayPlan busy_plan(double inject) {
  return {.gates = kBusyGates, .processes = 40, .fresh = 20, .first_look = 10, .inject = inject};
}

// A gate that stopped as soon as no slowdown is left called 363 of them.
TEST(GateReplay, ASpeedUpIsImprovedHoweverEarlyASlowdownIsExcluded) {
  EXPECT_GE(ours(recorded_busy(), busy_plan(-0.05)).alarms, kBusyGates - 2);
}

TEST(GateReplay, WaitingForSpeedUpsCallsNoneWhereThereIsNone) {
  EXPECT_LE(ours(recorded_busy(), busy_plan(-1e-9)).alarms, 1);
  EXPECT_LE(ours(recorded_busy(), busy_plan(0)).alarms, 1);
}

// 11.0 pairs when it waits for nothing, 12.5 when it waits until a speed-up is excluded.
TEST(GateReplay, WaitingForSpeedUpsHoldsUpFewGatesWithoutOne) {
  EXPECT_LT(ours(recorded_busy(), busy_plan(0)).pairs, 118 * kBusyGates / 10);
}

// Processes that differ make a test of rounds see differences where there are none.
TEST(GateReplay, TheUTestOfRoundsCriesWolf) {
  const SimulatedNoise layout = {.process_ln = 0.01, .round_ln = 0.004, .drift_ln = 0.004};
  const ReplayOutcome outcome = Replay(recorded(0, true, layout)).run(kPlan, {});
  EXPECT_GT(outcome.counts.at(1).alarms, kPlan.gates / 10);
  EXPECT_EQ(outcome.counts.at(0).alarms, 0);
}

TEST(GateReplay, WhatWasSlowedDownOnPurposeIsNoRecordOfNoise) {
  GateInput input = recorded(0, true);
  for (GatePoint& point : input.points) {
    point.head.injected = "op=ffn1,slowdown=3%";
  }
  EXPECT_THROW(Replay{input}, BadInput);
}

TEST(GateReplay, SharesStandWithTheirBounds) {
  const Table table = replay_table({Replay(recorded(0, true)).run(kPlan, {})});
  ASSERT_EQ(table.rows.size(), 4u);
  const std::string text = print_table(table, TableFormat::console);
  EXPECT_THAT(text, testing::HasSubstr("0.000 %   1.222 %"));  // 0 of 300
}

}  // namespace
}  // namespace deformer
