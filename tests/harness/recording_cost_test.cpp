#include "harness/recording_cost.hpp"

#include <gtest/gtest.h>

namespace deformer {
namespace {

RangeLog log_of(int layers) {
  RangeTree tree;
  const int run = tree.add(-1, "run");
  const int phase = tree.add(run, "encode");
  for (int layer = 0; layer < layers; ++layer) {
    const int range = tree.add(phase, "layer");
    for (const char* name : {"a", "b", "c"}) {
      tree.add(range, name);
    }
  }
  return RangeLog(std::move(tree), 1);
}

TEST(RecordingCost, GrowsWithTheLeavesAndIsNanosecondsEach) {
  const double few = replayed_recording_ns(log_of(1), false);
  const double many = replayed_recording_ns(log_of(100), false);
  EXPECT_GT(few, 0);
  EXPECT_GT(many, 10 * few);
  EXPECT_LT(many / 300, 10'000);  // a leaf: two readings of the clock
}

TEST(RecordingCost, OfOpenedPhasesLeavesCostNothing) {
  EXPECT_LT(replayed_recording_ns(log_of(100), true), replayed_recording_ns(log_of(100), false));
}

}  // namespace
}  // namespace deformer
