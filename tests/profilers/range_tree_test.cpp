#include "profilers/range_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace deformer {
namespace {

/// run: a { a1 a2 } b
RangeTree small_tree() {
  RangeTree tree;
  const int run = tree.add(-1, "run");
  const int a = tree.add(run, "a");
  tree.add(a, "a1");
  tree.add(a, "a2");
  tree.add(run, "b");
  return tree;
}

void walk(RangeLog& log, int thread, int leaves, const std::function<void(int)>& work) {
  RangeCursor cursor = log.cursor(thread, 0);
  cursor.begin();
  for (int leaf = 0; leaf < leaves; ++leaf) {
    work(leaf);
    cursor.worked();
    cursor.met();
  }
}

void spin(std::int64_t ns) {
  for (const std::int64_t end = now_ns() + ns; now_ns() < end;) {
  }
}

TEST(RangeTree, LeavesAreNumberedInTheOrderOfTheWalk) {
  const RangeTree tree = small_tree();
  EXPECT_EQ(tree.size(), 5);
  EXPECT_EQ(tree.leaves(), 3);
  EXPECT_EQ(tree.leaf_range(0), 2);
  EXPECT_EQ(tree.leaf_range(1), 3);
  EXPECT_EQ(tree.leaf_range(2), 4);
  EXPECT_EQ(tree[0].first_leaf, 0);
  EXPECT_EQ(tree[0].last_leaf, 3);
  EXPECT_EQ(tree[1].first_leaf, 0);
  EXPECT_EQ(tree[1].last_leaf, 2);
  EXPECT_EQ(tree[4].depth, 1);
  EXPECT_FALSE(tree[1].leaf);
  EXPECT_TRUE(tree[4].leaf);
}

TEST(RangeTree, PathsLeaveTheRootOut) {
  const RangeTree tree = small_tree();
  EXPECT_EQ(tree.path(0), "run");
  EXPECT_EQ(tree.path(1), "a");
  EXPECT_EQ(tree.path(3), "a/a2");
}

TEST(RangeLog, LeavesFollowEachOtherWithoutAGap) {
  RangeLog log(small_tree(), 1);
  walk(log, 0, 3, [](int) { spin(20'000); });
  EXPECT_EQ(log.end_ns(2), log.start_ns(3));
  EXPECT_EQ(log.end_ns(3), log.start_ns(4));
  EXPECT_EQ(log.elapsed_ns(1), log.elapsed_ns(2) + log.elapsed_ns(3));
  EXPECT_EQ(log.elapsed_ns(0), log.elapsed_ns(1) + log.elapsed_ns(4));
  EXPECT_GE(log.elapsed_ns(2), 20'000);
}

TEST(RangeLog, WhatIsOpenedAndClosedHasTimesOfItsOwn) {
  RangeLog log(small_tree(), 1);
  log.open(1);
  spin(50'000);
  walk(log, 0, 2, [](int) {});
  log.close(1);
  EXPECT_GE(log.elapsed_ns(1), 50'000 + log.elapsed_ns(2) + log.elapsed_ns(3));
}

TEST(RangeLog, AThreadIsBusyUntilItHasNothingLeftToDo) {
  RangeLog log(small_tree(), 2);
  for (int thread = 0; thread < 2; ++thread) {
    RangeCursor cursor = log.cursor(thread, 2);
    cursor.begin();
    spin(thread == 0 ? 10'000 : 200'000);
    cursor.worked();
    spin(100'000);  // at the barrier
    cursor.met();
  }
  EXPECT_GE(log.busy_ns(1, 2), 200'000);
  EXPECT_LT(log.busy_ns(0, 2), log.elapsed_ns(2) - 100'000 + 1);
}

TEST(RangeLog, AThreadThatTookNoPartIsUnknown) {
  RangeLog log(small_tree(), 2);
  walk(log, 0, 3, [](int) {});
  EXPECT_GE(log.busy_ns(0, 0), 0);
  EXPECT_EQ(log.busy_ns(1, 0), -1);
}

TEST(RangeLog, ADelayIsLostInItsLeafOnThreadZeroOnly) {
  constexpr std::int64_t kDelayNs = 3'000'000;
  RangeLog log(small_tree(), 2);
  log.set_delay(3, kDelayNs);
  walk(log, 0, 3, [](int) {});
  walk(log, 1, 3, [](int) {});
  EXPECT_GE(log.busy_ns(0, 3), kDelayNs);
  EXPECT_LT(log.busy_ns(0, 2), kDelayNs);
  EXPECT_LT(log.busy_ns(0, 4), kDelayNs);
  EXPECT_LT(log.busy_ns(1, 3), kDelayNs);
  log.set_delay(3, 0);
  walk(log, 0, 3, [](int) {});
  EXPECT_LT(log.busy_ns(0, 3), kDelayNs);
}

TEST(RangeSums, AddUpAndStayUnknownOnceUnknown) {
  RangeLog log(small_tree(), 2);
  RangeSums sums(log);
  for (int run = 0; run < 3; ++run) {
    walk(log, 0, 3, [](int) { spin(10'000); });
    sums.add(log);
  }
  EXPECT_EQ(sums.runs(), 3);
  EXPECT_GE(sums.elapsed_ns(0), 90'000);
  EXPECT_NEAR(sums.elapsed_ns(0), sums.elapsed_ns(2) + sums.elapsed_ns(3) + sums.elapsed_ns(4), 1);
  EXPECT_GE(sums.busy_ns(log.tree(), 0, 2), 30'000);
  EXPECT_LT(sums.busy_ns(log.tree(), 1, 2), 0);
  RangeSums twice = sums;
  twice.add(sums);
  EXPECT_EQ(twice.runs(), 6);
  EXPECT_DOUBLE_EQ(twice.elapsed_ns(1), 2 * sums.elapsed_ns(1));
  EXPECT_DOUBLE_EQ(twice.busy_ns(log.tree(), 0, 0), 2 * sums.busy_ns(log.tree(), 0, 0));
  EXPECT_LT(twice.busy_ns(log.tree(), 1, 0), 0);
}

}  // namespace
}  // namespace deformer
