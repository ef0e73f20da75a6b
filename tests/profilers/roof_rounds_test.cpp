#include "profilers/roof_rounds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace deformer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;

/// A machine of two processors whose clock goes by a second with each figure that is measured. In
/// the rounds that `busy` names (from 1) somebody else has one of them.
struct World {
  std::vector<int> busy = {};
  Moment now{0, 0, {0, 0, 2}};
  int round = 0;
  std::vector<std::string> told = {};

  bool is_busy() const { return std::ranges::find(busy, round) != busy.end(); }
  void pass() {
    now.wall_ns += kSecond;
    now.own_ns += is_busy() ? kSecond : 2 * kSecond;
    now.all.busy_ns += 2 * kSecond;
  }
  /// A figure of these rates, round by round, the last for ever. The first figure of a list says
  /// when a round begins.
  Figure figure(std::string what, std::vector<double> rates, double running = 1) {
    const bool first = figures++ == 0;
    return {std::move(what), 0.97, [this, first, rates, running, at = std::size_t{0}]() mutable {
              round += first ? 1 : 0;
              pass();
              at = std::min(at + 1, rates.size());
              return rates.empty() ? Trial{} : Trial{{rates[at - 1]}, running};
            }};
  }
  RoundsTaken run(const std::vector<Figure>& list, RoundRules rules = {.threads = 2}) {
    return measure_in_rounds(
        list, rules, [this] { return now; },
        [this](const std::string& what) { told.push_back(what); }, [] { return true; });
  }

  int figures = 0;
};

TEST(RoofRounds, TwoQuietRoundsThatAgreeAreEnough) {
  World world;
  const RoundsTaken taken = world.run({world.figure("a", {100}), world.figure("b", {7, 7.1})});
  EXPECT_EQ(taken.rounds, 2);
  EXPECT_THAT(taken.disturbed, IsEmpty());
  EXPECT_THAT(world.told, ElementsAre("a", "b", "a (round 2)", "b (round 2)"));
}

TEST(RoofRounds, OnlyWhatDoesNotAgreeIsMeasuredAgain) {
  World world;
  const RoundsTaken taken = world.run({world.figure("a", {60, 100, 99}), world.figure("b", {7})});
  EXPECT_EQ(taken.rounds, 3);
  EXPECT_THAT(taken.disturbed, IsEmpty());
  EXPECT_EQ(world.told.back(), "a (round 3)");
  EXPECT_EQ(world.told.size(), 5U);
}

TEST(RoofRounds, WhatNeverAgreesIsNamed) {
  World world;
  const RoundsTaken taken =
      world.run({world.figure("a", {60, 70, 80, 90, 100, 110, 120}), world.figure("b", {7})});
  EXPECT_EQ(taken.rounds, 6);
  EXPECT_THAT(taken.disturbed, ElementsAre(HasSubstr("no two undisturbed rounds agree: a")));
}

TEST(RoofRounds, BesideABusyProcessNothingIsBelievedHoweverWellItAgrees) {
  World world{.busy = {1, 2, 3, 4, 5, 6}};
  const RoundsTaken taken = world.run({world.figure("a", {60})});
  EXPECT_EQ(taken.rounds, 6);
  EXPECT_THAT(taken.disturbed, ElementsAre(HasSubstr("other processes took 0.96 of 2 processors"),
                                           HasSubstr("agree: a")));
}

TEST(RoofRounds, WhenItHasGoneTheQuieterRoundsCount) {
  World world{.busy = {1, 2}};
  const RoundsTaken taken = world.run({world.figure("a", {60, 60, 100})});
  EXPECT_EQ(taken.rounds, 4);
  EXPECT_THAT(taken.disturbed, IsEmpty());
}

TEST(RoofRounds, ADisturbedRoundThatReachedMoreIsNotForgotten) {
  World world{.busy = {1}};  // 100 was reached: 80 is not the roof, whoever agrees on it
  const RoundsTaken taken = world.run({world.figure("a", {100, 80})});
  EXPECT_EQ(taken.rounds, 6);
  EXPECT_THAT(taken.disturbed, ElementsAre(HasSubstr("agree: a")));
}

TEST(RoofRounds, ThreadsThatWereHeldUpAreNamed) {
  World world;
  const RoundsTaken taken =
      world.run({world.figure("a", {100}, 0.8), world.figure("b", {7}, 0.99)});
  EXPECT_THAT(taken.disturbed, ElementsAre(HasSubstr("threads were held up: a")));
}

TEST(RoofRounds, WhatCannotBeMeasuredIsAskedOnce) {
  World world;
  const RoundsTaken taken = world.run({world.figure("a", {}), world.figure("b", {7})});
  EXPECT_EQ(taken.rounds, 2);
  EXPECT_THAT(taken.disturbed, IsEmpty());
  EXPECT_THAT(world.told, ElementsAre("a", "b", "b (round 2)"));
}

TEST(RoofRounds, EndAtTheLimitOfTime) {
  World world{.busy = {1, 2, 3, 4, 5, 6}};
  const RoundsTaken taken =
      world.run({world.figure("a", {60})}, {.threads = 2, .limit_ns = 3 * kSecond});
  EXPECT_EQ(taken.rounds, 3);
  EXPECT_FALSE(taken.disturbed.empty());
}

TEST(RoofRounds, ManyNamesAreCounted) {
  World world;
  std::vector<Figure> figures;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    figures.push_back(world.figure(name, {1, 2, 4, 8, 16, 32, 64}));
  }
  EXPECT_THAT(world.run(figures).disturbed, ElementsAre(HasSubstr("a; b; c and 2 more")));
}

}  // namespace
}  // namespace deformer
