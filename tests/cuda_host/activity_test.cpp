#include "backends/cuda/host/activity_ranges.hpp"

#include <gtest/gtest.h>

namespace deformer::cuda {
namespace {

using Kind = Activity::Kind;

Activity kernel(std::string name, std::int64_t start, std::int64_t end, std::uint32_t correlation,
                std::uint64_t node = 0) {
  return {Kind::kernel, std::move(name), start, end, correlation, node, 0};
}

TEST(ActivityRanges, AStreamsWorkGoesToTheRangeItsCallWasMadeIn) {
  ActivityRanges activity(3);
  activity.tie_call(11, 0);
  activity.tie_call(12, 2);
  activity.add(kernel("gemm", 100, 180, 11));
  activity.add(kernel("norm", 180, 200, 12));
  activity.add({Kind::copy, "", 200, 230, 12, 0, 4096});
  const auto ranges = activity.by_range();
  EXPECT_EQ(ranges[0].kernels, 1);
  EXPECT_EQ(ranges[0].busy_ns, 80);
  EXPECT_EQ(ranges[1].kernels + ranges[1].copies, 0);
  EXPECT_EQ(ranges[2].kernels, 1);
  EXPECT_EQ(ranges[2].copies, 1);
  EXPECT_EQ(ranges[2].bytes, 4096);
  EXPECT_EQ(ranges[2].busy_ns, 50);
  EXPECT_EQ(activity.untied(), 0);
}

TEST(ActivityRanges, AGraphsNodesGoByTheirNumbersNotByTheOneCallTheyShare) {
  ActivityRanges activity(2);
  activity.tie_call(7, 0);  // the launch was made while range 0 was pushed
  activity.tie_node(101, 0);
  activity.tie_node(102, 1);
  activity.add(kernel("qkv", 0, 40, 7, 101));
  activity.add(kernel("attention", 40, 70, 7, 102));
  activity.add(kernel("stranger", 70, 75, 7, 999));
  const auto ranges = activity.by_range();
  EXPECT_EQ(ranges[0].busy_ns, 40);
  EXPECT_EQ(ranges[1].busy_ns, 30);
  EXPECT_EQ(activity.untied(), 1) << "a node nobody tied is in no range, not in its call's";
}

TEST(ActivityRanges, WhatRunsSideBySideIsBusyOnce) {
  ActivityRanges activity(1);
  activity.tie_call(1, 0);
  activity.add(kernel("a", 10, 50, 1));
  activity.add(kernel("b", 30, 60, 1));  // overlaps
  activity.add(kernel("c", 35, 40, 1));  // inside
  activity.add(kernel("d", 80, 90, 1));  // after a gap
  const auto range = activity.by_range().front();
  EXPECT_EQ(range.busy_ns, 60);
  EXPECT_EQ(range.sum_ns, 85);
}

TEST(ActivityRanges, OrderOfTiesAndRecordsDoesNotMatter) {
  ActivityRanges activity(1);
  activity.add(kernel("late tie", 5, 9, 3));  // CUPTI delivers buffers in any order
  EXPECT_EQ(activity.untied(), 1);
  activity.tie_call(3, 0);
  EXPECT_EQ(activity.untied(), 0);
  EXPECT_EQ(activity.by_range().front().busy_ns, 4);
}

TEST(ActivityRanges, KernelsAreSummedByNameAndRangeInTheOrderTheyRan) {
  ActivityRanges activity(2);
  activity.tie_call(1, 0);
  activity.tie_call(2, 1);
  activity.add(kernel("norm", 50, 60, 2));
  activity.add(kernel("gemm", 10, 30, 1));
  activity.add(kernel("gemm", 30, 45, 1));
  activity.add(kernel("gemm", 60, 61, 2));
  activity.add(kernel("first of all, of no range", 0, 5, 77));
  activity.add({Kind::copy, "", 61, 71, 2, 0, 64});
  const auto kernels = activity.by_kernel();
  ASSERT_EQ(kernels.size(), 5u);
  EXPECT_EQ(kernels[0].name, "gemm");
  EXPECT_EQ(kernels[0].count, 2);
  EXPECT_EQ(kernels[0].sum_ns, 35);
  EXPECT_EQ(kernels[1].name, "norm");
  EXPECT_EQ(kernels[2].name, "gemm");
  EXPECT_EQ(kernels[2].range, 1);
  EXPECT_EQ(kernels[3].name, "copy");
  EXPECT_EQ(kernels[3].sum_ns, 10);
  EXPECT_EQ(kernels[4].range, -1);
}

TEST(ActivityRanges, DamagedRecordsAndStrangeRangesAreRefused) {
  ActivityRanges activity(1);
  activity.add(kernel("backwards", 9, 5, 1));
  EXPECT_EQ(activity.damaged(), 1);
  EXPECT_EQ(activity.untied(), 0);
  EXPECT_THROW(activity.tie_call(1, 1), std::out_of_range);
  EXPECT_THROW(activity.tie_node(1, -1), std::out_of_range);
  EXPECT_TRUE(activity.by_kernel().empty());
}

}  // namespace
}  // namespace deformer::cuda
