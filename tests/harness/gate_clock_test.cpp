#include "harness/gate_clock.hpp"

#include <gtest/gtest.h>

#include "harness/clock_watch.hpp"

namespace deformer {
namespace {

PairRun pair_run(double setup_s, double measured_s, std::int64_t rounds) {
  PairRun run;
  run.setup_s = setup_s;
  run.measured_s = measured_s;
  run.rounds = rounds;
  return run;
}

TEST(GateLooks, AreFewAndEndWithAllPairsThatFit) {
  EXPECT_EQ(gate_looks(8, 100), (std::vector<std::int64_t>{12, 25, 50, 100}));
  EXPECT_EQ(gate_looks(8, 16), (std::vector<std::int64_t>{8, 16}));
  EXPECT_EQ(gate_looks(8, 15), (std::vector<std::int64_t>{15}));
  EXPECT_EQ(gate_looks(8, 3), (std::vector<std::int64_t>{3}));
}

TEST(GateClock, AFirstPairsLongStartDoesNotMakeLaterPairsShort) {
  GateClock clock(6, 8);
  clock.first(pair_run(5, 0.4, 40));
  EXPECT_GE(clock.length().seconds, 0.3);
  EXPECT_TRUE(clock.fits(false));
}

TEST(GateClock, AsManyPairsAsAskedForFitTheTime) {
  GateClock clock(8, 8);
  clock.first(pair_run(0.4, 0.3, 30));
  clock.next(pair_run(0.4, 0.3, 30));
  EXPECT_NEAR(clock.length().seconds, 8.0 / 8 - 0.4, 1e-9);
  EXPECT_EQ(clock.fitting(), 7);
}

TEST(GateClock, ASuspicionMayTakeHalfOfTheTimeAgain) {
  GateClock clock(1, 8);
  clock.first(pair_run(0.1, 0.9, 9));
  clock.next(pair_run(0.1, 0.3, 3));
  EXPECT_FALSE(clock.fits(false));
  EXPECT_TRUE(clock.fits(true));
}

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(ClockWatch, LetsAClockBeSlewed) {
  ClockWatch watch;
  for (std::int64_t s = 0; s < 1000; ++s) {
    EXPECT_EQ(watch.look({s * kSecond, 7 * kSecond + s * (kSecond + 500'000)}), "") << s;
  }
}

TEST(ClockWatch, SeesAWallClockThatIsSet) {
  for (const std::int64_t step : {kSecond / 10, -kSecond / 10, 3600 * kSecond}) {
    ClockWatch watch;
    EXPECT_EQ(watch.look({kSecond, 5 * kSecond}), "");
    EXPECT_EQ(watch.look({2 * kSecond, 6 * kSecond}), "");
    EXPECT_NE(watch.look({3 * kSecond, 7 * kSecond + step}), "");
  }
}

TEST(ClockWatch, SeesAMonotonicClockThatIsNone) {
  ClockWatch watch;
  EXPECT_EQ(watch.look({2 * kSecond, 0}), "");
  EXPECT_NE(watch.look({kSecond, 0}), "");
}

TEST(ClockWatch, SurvivesReadingsThatAreNone) {
  ClockWatch watch;
  EXPECT_EQ(watch.look({INT64_MIN, INT64_MAX}), "");
  EXPECT_NE(watch.look({INT64_MAX, INT64_MIN}), "");
}

}  // namespace
}  // namespace deformer
