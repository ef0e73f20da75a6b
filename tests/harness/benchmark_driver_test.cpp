#include "harness/benchmark_driver.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "model/error.hpp"

namespace deformer {
namespace {

TEST(BenchmarkDriver, RefusesFlagsThatWouldBreakPairing) {
  for (const char* flag :
       {"--benchmark_min_time=1", "--benchmark_repetitions=3",
        "--benchmark_enable_random_interleaving", "--benchmark_report_aggregates_only=true"}) {
    try {
      BenchmarkDriver driver({flag});
      FAIL() << flag;
    } catch (const BadInput& error) {
      EXPECT_NE(std::string(error.what()).find("pairing"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(BenchmarkDriver({"--benchmark_nonsense=1"}), BadInput);
  EXPECT_THROW(BenchmarkDriver({"word"}), BadInput);
  EXPECT_THROW(BenchmarkDriver({"--benchmark_filter=("}), BadInput);
  EXPECT_THROW(BenchmarkDriver({"--benchmark_out=/nonexistent/file"}), BadInput);
}

TEST(BenchmarkDriver, FiltersAsGoogleBenchmarkDoes) {
  const BenchmarkDriver some({"--benchmark_filter=squad.*b8"});
  EXPECT_TRUE(some.selects("bert/squad/q1/b8/cpu"));
  EXPECT_FALSE(some.selects("bert/race/q1/b8/cpu"));
  const BenchmarkDriver others({"--benchmark_filter=-race"});
  EXPECT_TRUE(others.selects("bert/squad"));
  EXPECT_FALSE(others.selects("bert/race"));
}

TEST(BenchmarkDriver, ALookRunsEachRoundOnceAndTheFileHoldsTheGroupOnce) {
  const auto path =
      std::filesystem::temp_directory_path() / ("deformer-gbench-" + std::to_string(getpid()));
  int rounds = 0;
  {
    BenchmarkDriver driver({"--benchmark_out=" + path.string()});
    const auto counters = [&rounds] {
      return BenchmarkDriver::Counters{{"full_ns", 100.0 * rounds}};
    };
    driver.run_look(
        "group/a", 10, [&rounds] { ++rounds; }, counters);
    EXPECT_EQ(rounds, 10);
    driver.run_look(
        "group/a", 5, [&rounds] { ++rounds; }, counters);
    EXPECT_EQ(rounds, 15);
    driver.finish_group("group/a", 15);
  }
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file);
  ASSERT_EQ(json.at("benchmarks").size(), 1U);
  EXPECT_EQ(json["context"]["executable"], "deformer-bench");
  EXPECT_EQ(json["benchmarks"][0]["name"], "group/a");
  EXPECT_EQ(json["benchmarks"][0]["iterations"], 15);
  EXPECT_EQ(json["benchmarks"][0]["full_ns"], 1500.0);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace deformer
