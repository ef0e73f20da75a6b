#include "harness/round_order.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace deformer {
namespace {

TEST(RoundOrder, EveryVariantStandsEquallyOftenInEveryPlace) {
  constexpr std::size_t kVariants = 5;
  RoundOrder order(kVariants, 7);
  std::vector<std::size_t> out(kVariants);
  std::vector<std::vector<int>> count(kVariants, std::vector<int>(kVariants));
  for (std::int64_t round = 0; round < 100; ++round) {
    order.order(round, out);
    EXPECT_EQ(std::set<std::size_t>(out.begin(), out.end()).size(), kVariants);
    for (std::size_t place = 0; place < kVariants; ++place) {
      ++count[out[place]][place];
    }
  }
  for (const auto& places : count) {
    for (const int times : places) {
      EXPECT_EQ(times, 20);
    }
  }
}

TEST(RoundOrder, IsSeeded) {
  RoundOrder a(6, 1);
  RoundOrder b(6, 1);
  RoundOrder c(6, 2);
  std::vector<std::size_t> x(6), y(6), z(6);
  bool differs = false;
  for (std::int64_t round = 0; round < 24; ++round) {
    a.order(round, x);
    b.order(round, y);
    c.order(round, z);
    EXPECT_EQ(x, y);
    differs = differs || x != z;
  }
  EXPECT_TRUE(differs);
}

std::string drawn(const std::vector<std::size_t>& ordered, const std::vector<double>& duration_ns) {
  std::vector<Step> steps(2 * ordered.size() + 1);
  steps.resize(place_anchors(ordered, duration_ns, steps));
  std::string text;
  for (const Step& step : steps) {
    text += step.anchor ? "F" : std::to_string(step.variant);
  }
  return text;
}

TEST(Anchors, StandAtBothEndsAndAtLeastEveryFourVariants) {
  const std::vector<double> quick(9, 1e6);
  EXPECT_EQ(drawn({0}, quick), "F0F");
  EXPECT_EQ(drawn({2, 0, 1, 3}, quick), "F2013F");
  EXPECT_EQ(drawn({0, 1, 2, 3, 4, 5, 6, 7, 8}, quick), "F0123F4567F8F");
}

TEST(Anchors, StandNoFurtherThanASecondAway) {
  EXPECT_EQ(drawn({0, 1, 2, 3}, {4e8, 4e8, 4e8, 4e8}), "F01F23F");
  EXPECT_EQ(drawn({0, 1, 2}, {2e9, 1e6, 2e9}), "F0F1F2F");
}

TEST(Anchors, AreAloneWithoutVariants) {
  EXPECT_EQ(drawn({}, {}), "F");
}

}  // namespace
}  // namespace deformer
