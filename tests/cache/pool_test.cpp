#include "cache/pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "cache/codec.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kSquadPassage = 293 * 768 * 4;

TEST(PoolSize, IsTwiceTheLastLevelCache) {
  const PoolSize size =
      plan_pool(uniform_shape(1, 27, 293), 768, DType::f32, 32 * kMiB, 24 * kGiB, 0);
  EXPECT_GE(size.bytes, 64 * kMiB);
  EXPECT_LT(size.bytes, 64 * kMiB + kSquadPassage);
  EXPECT_EQ(size.passages, size.sets);
  EXPECT_EQ(size.bytes, size.passages * kSquadPassage);
  EXPECT_EQ(size.shortfall, "");
  EXPECT_EQ(size.impossible, "");
}

TEST(PoolSize, IsAtLeastTwoBatches) {
  const PoolSize size =
      plan_pool(uniform_shape(8, 27, 293, 1, 10), 768, DType::f32, 1 * kMiB, 24 * kGiB, 0);
  EXPECT_EQ(size.sets, 2);
  EXPECT_EQ(size.passages, 2 * 8 * 10);
}

TEST(PoolSize, IsAtLeastTwoBatchesForEachReader) {
  const PoolSize size =
      plan_pool(uniform_shape(8, 27, 293), 768, DType::f32, 1 * kMiB, 24 * kGiB, 0, 3);
  EXPECT_EQ(size.sets, 6);
}

TEST(PoolSize, HalvesItsPassagesNotItsBytesWithWiderElements) {
  const Shape shape = uniform_shape(1, 27, 293);
  const PoolSize f32 = plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, 0);
  const PoolSize bf16 = plan_pool(shape, 768, DType::bf16, 32 * kMiB, 24 * kGiB, 0);
  EXPECT_NEAR(static_cast<double>(bf16.passages), 2.0 * static_cast<double>(f32.passages), 1.0);
}

TEST(PoolSize, StopsAt256MegabytesAndSaysSo) {
  const PoolSize size =
      plan_pool(uniform_shape(1, 27, 293), 768, DType::f32, 384 * kMiB, 100 * kGiB, 0);
  EXPECT_LE(size.bytes, 256'000'000);
  EXPECT_GT(size.bytes, 256'000'000 - kSquadPassage);
  EXPECT_THAT(size.shortfall, testing::HasSubstr("instead of"));
  EXPECT_EQ(size.impossible, "");
}

TEST(PoolSize, StopsAtAnEighthOfAvailableMemory) {
  const PoolSize size =
      plan_pool(uniform_shape(1, 27, 293), 768, DType::f32, 32 * kMiB, 80'000'000, 0);
  EXPECT_LE(size.bytes, 10'000'000);
  EXPECT_GE(size.sets, 2);
  EXPECT_NE(size.shortfall, "");
}

TEST(PoolSize, OneBatchIsEnoughToRunButIsAShortfall) {
  const Shape shape = uniform_shape(200, 27, 293);  // 180 MB a set
  const PoolSize size = plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, 0);
  EXPECT_EQ(size.sets, 1);
  EXPECT_NE(size.shortfall, "");
}

TEST(PoolSize, ABatchAboveTheLimitIsImpossible) {
  const Shape shape = uniform_shape(300, 27, 293);  // 270 MB a set
  const PoolSize size = plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, 0);
  EXPECT_THAT(size.impossible, testing::HasSubstr("256 MB"));
  EXPECT_EQ(size.sets, 0);
}

TEST(PoolSize, UnknownMemoryLeavesTheFixedLimit) {
  const PoolSize size = plan_pool(uniform_shape(1, 27, 293), 768, DType::f32, 32 * kMiB, 0, 0);
  EXPECT_GE(size.bytes, 64 * kMiB);
}

TEST(PoolSize, AFixedCountIsRoundedUpToWholeSets) {
  const Shape shape = uniform_shape(2, 27, 293, 1, 3);
  const PoolSize size = plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, 13);
  EXPECT_EQ(size.sets, 3);
  EXPECT_EQ(size.passages, 18);
  EXPECT_EQ(size.shortfall, "");
}

TEST(PoolSize, AFixedCountBeyondMemoryIsImpossible) {
  const Shape shape = uniform_shape(1, 27, 293);
  const std::int64_t absurd = std::int64_t{1} << 62;
  EXPECT_NE(plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, absurd).impossible, "");
  EXPECT_NE(plan_pool(shape, 768, DType::f32, 32 * kMiB, 24 * kGiB, 30'000).impossible, "");
}

std::vector<float> ramp(std::int64_t count, float start) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), start);
  return values;
}

Shape ragged_shape() {
  Shape shape = uniform_shape(2, 3, 5);
  shape.passage_tokens = {2, 5};
  return shape;
}

TEST(PassagePool, GivesBackEachPassageOfASet) {
  PassagePool pool(ragged_shape(), 4, DType::f32, 3);
  pool.store(0, ramp(28, 0.0F));
  pool.store(2, ramp(28, 100.0F));
  std::vector<float> second(20);
  decode_rows(DType::f32, pool.set(2)[1], 5, 4, second.data());
  EXPECT_EQ(second, ramp(20, 108.0F));
  decode_rows(DType::f32, pool.set(0)[1], 5, 4, second.data());
  EXPECT_EQ(second, ramp(20, 8.0F));
}

TEST(PoolWalk, TakesEverySetInTurn) {
  const PassagePool pool(ragged_shape(), 4, DType::bf16, 3);
  PoolWalk walk(pool, 0, 1);
  std::set<const std::byte*> seen;
  for (int forward = 0; forward < 3; ++forward) {
    const auto passages = walk.next();
    ASSERT_EQ(passages.size(), 2U);
    seen.insert(passages.begin(), passages.end());
  }
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_EQ(walk.next().data(), pool.set(0).data());
}

/// The sets that a reader loads in `forwards` forwards.
std::set<const void*> sets_read(const PassagePool& pool, int reader, int readers, int forwards) {
  PoolWalk walk(pool, reader, readers);
  std::set<const void*> seen;
  for (int i = 0; i < forwards; ++i) {
    seen.insert(walk.next().front());
  }
  return seen;
}

TEST(PoolWalk, ReadersSideBySideShareTheSetsOut) {
  const PassagePool pool(ragged_shape(), 4, DType::bf16, 7);
  std::set<const void*> all;
  std::size_t sum = 0;
  for (int reader = 0; reader < 3; ++reader) {
    const std::set<const void*> seen = sets_read(pool, reader, 3, 10);
    EXPECT_GE(seen.size(), 2U);
    sum += seen.size();
    all.insert(seen.begin(), seen.end());
  }
  EXPECT_EQ(sum, 7U);
  EXPECT_EQ(all.size(), 7U);
}

TEST(PoolWalk, TooFewSetsAreWalkedByAllFromDifferentPlaces) {
  const PassagePool pool(ragged_shape(), 4, DType::bf16, 2);
  EXPECT_EQ(PoolWalk(pool, 0, 3).next().data(), pool.set(0).data());
  EXPECT_EQ(PoolWalk(pool, 1, 3).next().data(), pool.set(1).data());
  EXPECT_EQ(sets_read(pool, 2, 3, 2).size(), 2U);
}

TEST(PassagePool, CopiesASetToOtherAddresses) {
  PassagePool pool(ragged_shape(), 4, DType::bf16, 2);
  pool.store(0, ramp(28, 1.0F));
  pool.copy_set(0, 1);
  EXPECT_NE(pool.set(0)[1], pool.set(1)[1]);
  EXPECT_TRUE(std::equal(pool.set(0)[0], pool.set(0)[0] + 56, pool.set(1)[0]));
}

TEST(PassagePool, RefusesRowsThatAreNotOneSet) {
  PassagePool pool(ragged_shape(), 4, DType::f32, 2);
  EXPECT_THROW(pool.store(0, ramp(24, 0.0F)), BadInput);
}

TEST(PassagePool, EveryPageIsResidentFromTheStart) {
  const Shape shape = uniform_shape(1, 27, 293);
  PassagePool pool(shape, 768, DType::f32, 8);
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(pool.set(0)[0]) + page - 1) / page * page;
  const auto last = (reinterpret_cast<std::uintptr_t>(pool.set(0)[0]) +
                     static_cast<std::uintptr_t>(pool.bytes())) /
                    page * page;
  std::vector<unsigned char> resident((last - first) / page);
  ASSERT_EQ(mincore(reinterpret_cast<void*>(first), last - first, resident.data()), 0);
  EXPECT_TRUE(std::ranges::all_of(resident, [](unsigned char flags) { return flags & 1U; }));
}

}  // namespace
}  // namespace deformer
