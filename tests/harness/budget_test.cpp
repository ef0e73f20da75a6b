/// Where the rounds of a budget go.

#include "harness/budget.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deformer {
namespace {

BudgetPoint point(Variant variant, std::int64_t split, double centre, double half,
                  std::int64_t rounds) {
  return {.variant = variant,
          .split = split,
          .forward_ns = 1e7,
          .sample_ns = 1e7,
          .centre = centre,
          .low = centre - half,
          .high = centre + half,
          .rounds = rounds};
}

BudgetGroup group(std::vector<BudgetPoint> points) {
  points.insert(points.begin(), point(Variant::full, 0, 1e7, 1e4, 10));
  return {.points = std::move(points)};
}

TEST(Budget, EverythingGetsTenRoundsFirst) {
  std::vector<BudgetGroup> groups = {group({point(Variant::cached, 9, 0, 0, 0)})};
  groups[0].points[0].rounds = 0;
  const auto step = next_budget_step(groups, 60);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->rounds, 10);
  EXPECT_EQ(step->points, (std::vector<std::size_t>{0, 1}));
}

TEST(Budget, TheWidestIntervalIsNext) {
  std::vector<BudgetGroup> groups = {group({point(Variant::cached, 9, 3, 0.06, 10)}),
                                     group({point(Variant::cached, 9, 3, 0.3, 10)})};
  const auto step = next_budget_step(groups, 600);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->group, 1u);
  EXPECT_GT(step->rounds, 15);
}

TEST(Budget, NeighboursThatCannotBeToldApartNeedMoreThanOthers) {
  // All three known to 0.8 %: enough, but for 8 and 9, which overlap.
  const BudgetGroup three =
      group({point(Variant::cached, 4, 2, 0.016, 50), point(Variant::cached, 8, 3, 0.024, 50),
             point(Variant::cached, 9, 3.01, 0.024, 50)});
  EXPECT_LT(budget_need(three, 1), 1);
  EXPECT_GT(budget_need(three, 2), 1);
  std::vector<BudgetGroup> groups = {three};
  const auto step = next_budget_step(groups, 600);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->points, (std::vector<std::size_t>{0, 2, 3}));
}

TEST(Budget, NothingIsSpentOnWhatIsKnown) {
  std::vector<BudgetGroup> groups = {group({point(Variant::cached, 9, 3, 0.01, 50)})};
  EXPECT_FALSE(next_budget_step(groups, 600));
}

TEST(Budget, AStepThatDoesNotFitIsNotBegun) {
  std::vector<BudgetGroup> groups = {group({point(Variant::cached, 9, 3, 0.3, 10)})};
  groups[0].setup_s = 5;
  EXPECT_FALSE(next_budget_step(groups, 5.2));
  EXPECT_TRUE(groups[0].exhausted);
}

TEST(Budget, RoundsAreCutToTheTimeLeft) {
  std::vector<BudgetGroup> groups = {group({point(Variant::cached, 9, 3, 0.3, 10)})};
  const auto step = next_budget_step(groups, 2);
  ASSERT_TRUE(step);
  EXPECT_LE(static_cast<double>(step->rounds) * 0.038, 2.0);
  EXPECT_GE(step->rounds, 15);
}

}  // namespace
}  // namespace deformer
