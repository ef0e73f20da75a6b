#include "harness/thread_limit.hpp"

#include <cstdio>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profilers/processors.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

TEST(ThreadLimit, AFewThreadsAProcessorCanBeHad) {
  EXPECT_EQ(why_not_threads(1), "");
  EXPECT_EQ(why_not_threads(8), "");
}

TEST(ThreadLimit, HundredsForEachProcessorAreRefusedBeforeOneIsStarted) {
  const auto processors = static_cast<std::int64_t>(allowed_processors().size());
  EXPECT_EQ(why_not_threads(128 * processors + 1),
            std::to_string(128 * processors + 1) + " threads are over 128 for each of the " +
                std::to_string(processors) + " processors here");
  EXPECT_THAT(why_not_threads(std::int64_t{1} << 40), HasSubstr("over 128"));
}

TEST(ThreadLimitDeathTest, WhatTheSystemDoesNotStartIsCounted) {
  // In a process of its own, whose addresses have no room for the stacks of 100 threads.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto narrow = [] {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const std::uint64_t bytes = pages * 4096 + (std::uint64_t{64} << 20);
    const rlimit addresses{bytes, bytes};
    setrlimit(RLIMIT_AS, &addresses);
    const std::string why = why_not_threads(100);
    std::fprintf(stderr, "%s\n", why.c_str());
    _exit(0);
  };
  EXPECT_EXIT(narrow(), testing::ExitedWithCode(0),
              "100 threads are more than the [0-9]+ that the system lets start");
}

}  // namespace
}  // namespace deformer
