#include "profilers/probe.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

std::vector<double> bursts_of(Probe& probe, int count) {
  std::vector<double> rates;
  for (int i = 0; i < count; ++i) rates.push_back(probe.burst());
  return rates;
}

TEST(Probe, MeasuresARateAProcessorCanHave) {
  Probe probe(1);
  const auto rates = bursts_of(probe, 20);
  const double best = *std::max_element(rates.begin(), rates.end());
  EXPECT_GT(best, 0.1e9);
  EXPECT_EQ(best, probe.best());
  EXPECT_LT(best, 1e12);  // one core: 64 FLOP a cycle at 6 GHz is 0.4e12
}

TEST(Probe, BurstTakesAboutFiftyMicroseconds) {
  Probe probe(1);
  std::int64_t quickest = 1'000'000'000;
  for (int i = 0; i < 50; ++i) {
    const std::int64_t start = now_ns();
    probe.burst();
    quickest = std::min(quickest, now_ns() - start);
  }
  EXPECT_GT(quickest, 30'000);
  EXPECT_LT(quickest, 200'000);
}

TEST(Probe, TakesFewerThanOneThreadAsOne) {
  Probe probe(0);
  EXPECT_EQ(probe.threads(), 1);
  EXPECT_GT(probe.burst(), 0);
}

TEST(Probe, SharesProcessorsWhenAskedForMoreThreadsThanThereAre) {
  Probe probe(8);
  EXPECT_EQ(probe.threads(), 8);
  EXPECT_GT(probe.burst(), 0);
}

TEST(Disturbed, NeedsEightEarlierBursts) {
  EXPECT_FALSE(disturbed(1, std::vector<double>(7, 100.0)));
  EXPECT_TRUE(disturbed(1, std::vector<double>(8, 100.0)));
}

TEST(Disturbed, IsBelowNinetyPercentOfTheMedian) {
  const std::vector<double> earlier(20, 100.0);
  EXPECT_TRUE(disturbed(89.9, earlier));
  EXPECT_FALSE(disturbed(90.1, earlier));
  EXPECT_FALSE(disturbed(200, earlier));
}

TEST(Disturbed, IsNotMisledByDisturbedBurstsAmongTheEarlier) {
  std::vector<double> earlier(20, 100.0);
  for (std::size_t i = 0; i < 9; ++i) earlier[2 * i] = 1.0;
  EXPECT_TRUE(disturbed(80, earlier));
  EXPECT_FALSE(disturbed(95, earlier));
}

TEST(Disturbed, FollowsAMachineThatSettlesAtAnotherClock) {
  std::vector<double> earlier(1000, 100.0);
  EXPECT_TRUE(disturbed(80, earlier));
  earlier.insert(earlier.end(), 64, 80.0);
  EXPECT_FALSE(disturbed(80, earlier));
}

}  // namespace
}  // namespace deformer
