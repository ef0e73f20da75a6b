#include "harness/instance_team.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

void spin_for(std::int64_t duration_ns) {
  const std::int64_t end_ns = now_ns() + duration_ns;
  while (now_ns() < end_ns) {
  }
}

TEST(InstanceTeam, ASingleInstanceRunsOnTheCallersThread) {
  InstanceTeam team(1);
  std::thread::id id;
  (void)team.run([&](int) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(InstanceTeam, EachInstanceKeepsAThreadOfItsOwn) {
  InstanceTeam team(3);
  std::vector<std::thread::id> first(3);
  std::vector<std::thread::id> second(3);
  (void)team.run([&](int i) { first[static_cast<std::size_t>(i)] = std::this_thread::get_id(); });
  for (int i = 0; i < 3; ++i) {
    team.run_on(i, [&](int which) {
      EXPECT_EQ(which, i);
      second[static_cast<std::size_t>(which)] = std::this_thread::get_id();
    });
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
  EXPECT_NE(first[0], std::this_thread::get_id());
}

TEST(InstanceTeam, NobodyStartsBeforeAllAreThere) {
  InstanceTeam team(3);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> inside = 0;
    // Each waits for the others inside the work: were they called one after the other, it would
    // hang.
    (void)team.run([&](int) {
      ++inside;
      while (inside < 3) {
        std::this_thread::yield();
      }
    });
    EXPECT_EQ(inside, 3);
  }
}

TEST(InstanceTeam, TheTimeIsThatOfTheLastToEnd) {
  InstanceTeam team(2);
  (void)team.run([](int) {});
  const std::int64_t elapsed_ns = team.run([](int i) { spin_for(i == 1 ? 5'000'000 : 1'000); });
  EXPECT_GE(elapsed_ns, 5'000'000);
}

TEST(InstanceTeam, AnErrorOfOneInstanceReachesTheCallerAndTheTeamGoesOn) {
  InstanceTeam team(2);
  const auto failing = [](int i) {
    if (i == 1) {
      throw std::runtime_error("the second");
    }
  };
  for (int i = 0; i < 2; ++i) {
    try {
      (void)team.run(failing);
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "the second");
    }
    int calls = 0;
    team.run_on(0, [&](int) { ++calls; });
    EXPECT_EQ(calls, 1);
  }
}

TEST(InstanceTeam, InstancesStayOnTheirProcessors) {
  const std::vector<int> allowed = allowed_processors();
  InstanceTeam team(2, {{allowed.front()}, {allowed.back()}});
  (void)team.run([&](int i) {
    EXPECT_EQ(allowed_processors(), std::vector<int>{i == 0 ? allowed.front() : allowed.back()});
  });
  EXPECT_EQ(allowed_processors(), allowed);
}

}  // namespace
}  // namespace deformer
