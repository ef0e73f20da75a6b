#include "profilers/processors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace deformer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// 2 sockets with a memory node each, 2 last-level caches in each, 4 cores at each, 2 hyper-threads
// a core: core i has the processors 2 i and 2 i + 1.
constexpr const char* kServer =
    "pack:2 [numa(memory=1073741824)] l3:2(size=33554432) core:4 l2:1(size=524288) pu:2";

std::vector<int> range(int first, int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

std::vector<CoreSite> server() {
  return read_cores(range(0, 32), kServer);
}

TEST(Cores, KnowTheirProcessorsCacheAndMemory) {
  const std::vector<CoreSite> cores = server();
  ASSERT_EQ(cores.size(), 16U);
  EXPECT_THAT(cores[5].processors, ElementsAre(10, 11));
  EXPECT_EQ(cores[4].cache, cores[7].cache);
  EXPECT_NE(cores[3].cache, cores[4].cache);
  EXPECT_EQ(cores[3].numa, cores[4].numa);
  EXPECT_NE(cores[7].numa, cores[8].numa);
}

TEST(Cores, HoldOnlyWhatIsAllowed) {
  const std::vector<CoreSite> cores = read_cores({3, 8, 9}, kServer);
  ASSERT_EQ(cores.size(), 2U);
  EXPECT_THAT(cores[0].processors, ElementsAre(3));
  EXPECT_THAT(cores[1].processors, ElementsAre(8, 9));
}

TEST(Cores, AreProcessorsWhereHwlocKnowsNone) {
  EXPECT_EQ(read_cores({0, 1, 2}, "no such description").size(), 3U);
  EXPECT_EQ(read_cores({100, 101}, kServer).size(), 2U);
}

TEST(ChooseProcessors, TakesACoreForEachThread) {
  EXPECT_THAT(choose_processors(server(), 1, 4), ElementsAre(ElementsAre(0, 2, 4, 6)));
  EXPECT_THAT(choose_processors(server(), 2, 2), ElementsAre(ElementsAre(0, 2), ElementsAre(4, 6)));
}

TEST(ChooseProcessors, KeepsATeamBehindOneCache) {
  // Three of a cache's four cores each: the second team does not straddle two caches.
  EXPECT_THAT(choose_processors(server(), 2, 3),
              ElementsAre(ElementsAre(0, 2, 4), ElementsAre(8, 10, 12)));
}

TEST(ChooseProcessors, PutsASmallTeamIntoTheGapThatIsLeft) {
  const Processors chosen = choose_processors(read_cores(range(0, 12), kServer), 2, 2);
  EXPECT_THAT(chosen, ElementsAre(ElementsAre(8, 10), ElementsAre(0, 2)));
}

TEST(ChooseProcessors, KeepsATeamInOneMemoryNodeWhereNoCacheIsLargeEnough) {
  EXPECT_THAT(choose_processors(server(), 2, 6),
              ElementsAre(ElementsAre(0, 2, 4, 6, 8, 10), ElementsAre(16, 18, 20, 22, 24, 26)));
}

TEST(ChooseProcessors, SpansTheMachineWhereItMust) {
  const Processors chosen = choose_processors(server(), 1, 10);
  ASSERT_EQ(chosen.size(), 1U);
  EXPECT_THAT(chosen[0], ElementsAre(0, 2, 4, 6, 8, 10, 12, 14, 16, 18));
}

TEST(ChooseProcessors, UsesHyperThreadsOnlyWhenEveryCoreIsTaken) {
  const std::vector<CoreSite> two_cores = read_cores(range(0, 4), kServer);
  EXPECT_THAT(choose_processors(two_cores, 1, 2), ElementsAre(ElementsAre(0, 2)));
  EXPECT_THAT(choose_processors(two_cores, 1, 3), ElementsAre(ElementsAre(0, 1, 2)));
  EXPECT_THAT(choose_processors(two_cores, 2, 2),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3)));
}

TEST(ChooseProcessors, GivesEveryProcessorOnceAndNoneBeyondThem) {
  const Processors all = choose_processors(server(), 4, 8);
  std::set<int> seen;
  for (const std::vector<int>& team : all) seen.insert(team.begin(), team.end());
  EXPECT_EQ(seen.size(), 32U);
  EXPECT_THAT(choose_processors(server(), 3, 11), IsEmpty());
  EXPECT_THAT(choose_processors({}, 1, 1), IsEmpty());
}

TEST(BindThisThread, BindsItAndWhatItStarts) {
  const std::vector<int> before = allowed_processors();
  std::thread([&] {
    ASSERT_TRUE(bind_this_thread({before.back()}));
    EXPECT_THAT(allowed_processors(), ElementsAre(before.back()));
    std::thread([&] { EXPECT_THAT(allowed_processors(), ElementsAre(before.back())); }).join();
  }).join();
  EXPECT_EQ(allowed_processors(), before);
}

TEST(BindThisThread, RefusesWhatTheMachineHasNot) {
  EXPECT_FALSE(bind_this_thread({}));
  EXPECT_FALSE(bind_this_thread({100'000}));
}

TEST(KeptAffinity, GivesBackWhatASessionTook) {
  const std::vector<int> before = allowed_processors();
  {
    const KeptAffinity kept;
    ASSERT_TRUE(bind_this_thread({before.front()}));
  }
  EXPECT_EQ(allowed_processors(), before);
}

}  // namespace
}  // namespace deformer
