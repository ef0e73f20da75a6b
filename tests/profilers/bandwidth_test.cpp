#include "profilers/bandwidth.hpp"

#include <gtest/gtest.h>

#include "profilers/team_cost.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kBurstNs = 200'000;
constexpr std::int64_t kLimitNs = 40'000'000;

TEST(StreamBuffers, AreWholePages) {
  EXPECT_EQ(StreamBuffers(1, 0).bytes(), 4096);
  EXPECT_EQ(StreamBuffers(1, 5000).bytes(), 4096);
  EXPECT_EQ(StreamBuffers(3, 3 << 20).bytes(), 3 << 20);
}

TEST(StreamBuffers, MoveAtARateAProcessorCanHave) {
  for (const int threads : {1, 2, 3}) {
    const Bandwidth rate = StreamBuffers(threads, 16384).measure(kBurstNs, kLimitNs);
    EXPECT_GT(rate.read_median_gb_per_s, 0) << threads;
    EXPECT_LT(rate.read_gb_per_s, threads * 128 * 6.0) << threads;  // 128 bytes a cycle at 6 GHz
    EXPECT_GT(rate.copy_median_gb_per_s, 0) << threads;
    EXPECT_LT(rate.copy_gb_per_s, threads * 256 * 6.0) << threads;
    EXPECT_LE(rate.read_median_gb_per_s, rate.read_gb_per_s);
    EXPECT_LE(rate.copy_median_gb_per_s, rate.copy_gb_per_s);
  }
}

TEST(StreamBuffers, ASmallSetIsNotSlowerThanMemory) {
  const Bandwidth cache = StreamBuffers(1, 16384).measure(kBurstNs, kLimitNs);
  const Bandwidth memory = StreamBuffers(1, 64 << 20).measure(kBurstNs, 4 * kLimitNs);
  EXPECT_GT(cache.read_gb_per_s, 0.5 * memory.read_gb_per_s);
  EXPECT_GT(cache.copy_gb_per_s, 0.5 * memory.copy_gb_per_s);
}

TEST(TeamCost, OfOneThreadHasNoBarrier) {
  const TeamCost cost = measure_team_cost(1, 1, 5'000'000);
  EXPECT_GT(cost.region.median_ns, 0);
  EXPECT_FALSE(cost.barrier);
}

TEST(TeamCost, OfMoreThreadsThanProcessorsHasNoBarrier) {
  EXPECT_FALSE(measure_team_cost(4, 2, 5'000'000).barrier);
}

TEST(TeamCost, OfTwoThreadsIsATime) {
  const TeamCost cost = measure_team_cost(2, 2, 20'000'000);
  EXPECT_GT(cost.region.median_ns, 0);
  ASSERT_TRUE(cost.barrier);
  EXPECT_GT(cost.barrier->median_ns, 0);
  EXPECT_GE(cost.barrier->p99_ns.value_or(cost.barrier->median_ns), cost.barrier->median_ns);
}

}  // namespace
}  // namespace deformer
