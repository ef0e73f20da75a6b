#include "harness/thread_places.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deformer {
namespace {

using testing::HasSubstr;

std::vector<CoreSite> four_cores() {
  return {{{0}, 0, 0}, {{1}, 0, 0}, {{2}, 0, 0}, {{3}, 0, 0}};
}

Point point(int instances, int threads) {
  Point point;
  point.instances = instances;
  point.threads = threads;
  return point;
}

TEST(ThreadPlaces, PinWhereThereIsAProcessorForEachThread) {
  const ThreadPlaces places(true, four_cores(), 0);
  EXPECT_EQ(places.choose(point(2, 2)), (Processors{{0, 1}, {2, 3}}));
  EXPECT_TRUE(places.choose(point(2, 3)).empty());
  EXPECT_TRUE(ThreadPlaces(false, four_cores(), 0).choose(point(1, 1)).empty());
}

TEST(ThreadPlaces, LeaveTheReferenceToTheScheduler) {
  Point reference = point(1, 2);
  reference.backend = "reference";
  EXPECT_TRUE(ThreadPlaces(true, four_cores(), 0).choose(reference).empty());
}

TEST(ThreadPlaces, WarnOfMoreThreadsThanProcessors) {
  const ThreadPlaces places(true, four_cores(), 0);
  EXPECT_EQ(places.crowding(point(2, 2)), "");
  EXPECT_THAT(places.crowding(point(3, 2)), HasSubstr("6 threads (3 instances x 2) share 4"));
}

TEST(ThreadPlaces, WarnOfAContainersQuota) {
  const ThreadPlaces places(true, four_cores(), 2.5);
  EXPECT_EQ(places.crowding(point(2, 1)), "");
  EXPECT_THAT(places.crowding(point(3, 1)), HasSubstr("CPU quota of 2.5"));
}

}  // namespace
}  // namespace deformer
