#include "profilers/trace.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "profilers/energy.hpp"
#include "profilers/memory_sampler.hpp"
#include "profilers/nvtx_ranges.hpp"

#include <unistd.h>

namespace deformer {
namespace {

using Json = nlohmann::json;

RangeLog recorded() {
  RangeTree tree;
  const int run = tree.add(-1, "run");
  const int phase = tree.add(run, "encode \"x\"\n");
  tree.add(phase, "a");
  tree.add(phase, "b");
  RangeLog log(std::move(tree), 2);
  log.open(run);
  log.open(phase);
  for (int thread = 0; thread < 2; ++thread) {
    RangeCursor cursor = log.cursor(thread, phase);
    cursor.begin();
    cursor.worked();
    cursor.met();
    cursor.worked();
    cursor.met();
  }
  log.close(phase);
  log.close(run);
  return log;
}

TEST(Trace, IsValidJsonWithATrackAThreadAndNothingNegative) {
  const RangeLog log = recorded();
  Trace trace;
  const int process = trace.add_process("bert", 2);
  trace.add_run(process, log, {});
  trace.add_counter(process, "GFLOP/s", log.end_ns(0), 12.5);
  trace.add_note("note", "planted");
  const Json json = Json::parse(trace.json());
  std::set<int> tracks;
  int complete = 0;
  for (const Json& event : json.at("traceEvents")) {
    if (event.at("ph") == "X") {
      ++complete;
      tracks.insert(event.at("tid").get<int>());
      EXPECT_GE(event.at("ts").get<double>(), 0);
      EXPECT_GE(event.at("dur").get<double>(), 0);
    }
  }
  EXPECT_EQ(complete, 4 + 2 * 2);  // the ranges, and each thread's two leaves
  EXPECT_EQ(tracks, (std::set<int>{1001, 1002, 1003}));
  EXPECT_EQ(json.at("otherData").at("note"), "planted");
}

TEST(Trace, NoTrackHasTheNumberOfAProcessOrOfAnother) {
  Trace trace;
  trace.add_process("a", 4);
  trace.add_process("b", 4);
  std::set<int> processes, tracks;
  int named = 0;
  const Json json = Json::parse(trace.json());
  for (const Json& event : json.at("traceEvents")) {
    processes.insert(event.at("pid").get<int>());
    if (event.contains("tid")) {
      ++named;
      tracks.insert(event.at("tid").get<int>());
    }
  }
  EXPECT_EQ(processes.size(), 2U);
  EXPECT_EQ(tracks.size(), static_cast<std::size_t>(named)) << "one for both processes";
  for (const int process : processes) {
    EXPECT_EQ(tracks.count(process), 0U) << "viewers would move it up as the main thread";
  }
}

TEST(Trace, ProcessesFollowEachOtherWithoutWhatWasBetween) {
  Trace trace;
  trace.add_counter(trace.add_process("a", 1), "x", 5'000'000'000, 1);
  const int second = trace.add_process("b", 1);
  trace.add_counter(second, "x", 99'000'000'000, 1);
  trace.add_counter(second, "x", 99'000'002'000, 1);
  const Json json = Json::parse(trace.json());
  std::vector<double> times;
  for (const Json& event : json.at("traceEvents")) {
    if (event.contains("ts")) {
      times.push_back(event.at("ts").get<double>());
    }
  }
  ASSERT_EQ(times.size(), 3U);
  EXPECT_DOUBLE_EQ(times[0], 0);
  EXPECT_GT(times[1], 0);
  EXPECT_LT(times[1], 10'000);
  EXPECT_DOUBLE_EQ(times[2] - times[1], 2);  // microseconds
}

TEST(Energy, WithoutPowercapPapiIsTriedAndElseBothSayWhyNot) {
  EnergyMeter meter("/nonexistent/powercap");
  if (meter.missing().empty()) {
    EXPECT_EQ(meter.source(), "PAPI's rapl component");
    EXPECT_GE(meter.joules(), 0);
  } else {
    EXPECT_NE(meter.missing().find("/nonexistent/powercap"), std::string::npos);
    EXPECT_NE(meter.missing().find("PAPI"), std::string::npos) << meter.missing();
    EXPECT_EQ(meter.source(), "");
    EXPECT_EQ(meter.joules(), std::nullopt);
  }
}

TEST(Energy, OfPapisEventsOnlyThePackagesJoulesCount) {
  EXPECT_TRUE(is_package_energy("rapl:::PACKAGE_ENERGY:PACKAGE0"));
  EXPECT_TRUE(is_package_energy("PACKAGE_ENERGY:PACKAGE12"));
  for (const char* other : {"rapl:::PACKAGE_ENERGY_CNT:PACKAGE0", "rapl:::PP0_ENERGY:PACKAGE0",
                            "rapl:::DRAM_ENERGY:PACKAGE0", "rapl:::PSYS_ENERGY:PACKAGE0",
                            "rapl:::THERMAL_SPEC:PACKAGE0", "rapl:::X_PACKAGE_ENERGY:PACKAGE0",
                            "rapl:::PACKAGE_ENERGY:PACKAGE", ""}) {
    EXPECT_FALSE(is_package_energy(other)) << other;
  }
}

TEST(Energy, PackagesAddUpAndWrapsAreMended) {
  const auto root =
      std::filesystem::temp_directory_path() / ("powercap-" + std::to_string(getpid()));
  const auto write = [&](const char* zone, const char* file, const std::string& text) {
    std::filesystem::create_directories(root / zone);
    std::ofstream(root / zone / file) << text << "\n";
  };
  for (const std::string number : {"0", "1"}) {
    const std::string folder = "p" + number;
    const char* zone = folder.c_str();
    write(zone, "name", "package-" + number);
    write(zone, "max_energy_range_uj", "10000000");
    write(zone, "energy_uj", "9000000");
  }
  write("core", "name", "core");
  write("core", "energy_uj", "5");
  write("psys", "name", "psys");
  write("psys", "energy_uj", "9");
  write("mmio", "name", "package-0");  // again, by another way to the same counter
  write("mmio", "energy_uj", "9000000");
  EnergyMeter meter(root.string());
  EXPECT_EQ(meter.missing(), "");
  EXPECT_EQ(meter.source(), "powercap");
  EXPECT_DOUBLE_EQ(*meter.joules(), 18);
  write("mmio", "energy_uj", "1000000");
  write("p0", "energy_uj", "1000000");  // past its end, from the beginning
  EXPECT_DOUBLE_EQ(*meter.joules(), 20);
  std::filesystem::remove_all(root);
}

TEST(Energy, ACounterThatIsClosedIsMissingWithItsPath) {
  const auto root =
      std::filesystem::temp_directory_path() / ("powercap-closed-" + std::to_string(getpid()));
  std::filesystem::create_directories(root / "p0" / "energy_uj");  // nothing that can be read
  std::ofstream(root / "p0" / "name") << "package-0\n";
  EnergyMeter meter(root.string());
  if (!meter.missing().empty()) {
    EXPECT_NE(meter.missing().find("p0/energy_uj: can't be read"), std::string::npos);
  }
  std::filesystem::remove_all(root);
}

TEST(MemorySampler, SeesWhatTheProcessTouches) {
  const auto before = sample_memory(getpid());
  ASSERT_TRUE(before);
  constexpr std::size_t kBytes = 64 << 20;
  std::vector<char> touched(kBytes, 1);
  const auto after = sample_memory(getpid());
  ASSERT_TRUE(after);
  EXPECT_GE(after->rss_bytes - before->rss_bytes, static_cast<std::int64_t>(kBytes) * 9 / 10);
  EXPECT_GT(after->minor_faults, before->minor_faults);
  EXPECT_FALSE(sample_memory(-1));
  EXPECT_EQ(touched.back(), 1);
}

TEST(MemorySampler, AProgramThatIsNotThereIsAReason) {
  MemorySampler sampler("/nonexistent/program", 1000);
  EXPECT_TRUE(sampler.stop().empty());
  EXPECT_NE(sampler.missing(), "");
}

TEST(Nvtx, ARangeWithoutAToolCostsNanoseconds) {
  if (nvtx_missing().empty()) {
    EXPECT_GT(nvtx_ns_per_range(), 0);
    EXPECT_LT(nvtx_ns_per_range(), 1000);
  } else {
    EXPECT_LT(nvtx_ns_per_range(), 0);
  }
}

}  // namespace
}  // namespace deformer
