#include "harness/run_roofs.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// 2 layers of 100 bytes run by question and passage apart (0..1) and joint (1..2), embeddings of
/// 10 each, a head of 5.
PlanCost decomposed_cost() {
  PlanCost cost;
  const auto phase = [&cost](PhaseKind kind, std::int64_t first, std::int64_t last,
                             std::int64_t bytes) {
    PhaseCost entry;
    entry.phase.kind = kind;
    entry.phase.first_layer = first;
    entry.phase.last_layer = last;
    entry.total.bytes_weights = bytes;
    Cost layer;
    layer.bytes_weights = 100;
    if (kind == PhaseKind::encode)
      entry.layers.assign(static_cast<std::size_t>(last - first), layer);
    cost.phases.push_back(entry);
  };
  phase(PhaseKind::embed, 0, 0, 10);
  phase(PhaseKind::encode, 0, 1, 100);
  phase(PhaseKind::embed, 0, 0, 10);
  phase(PhaseKind::encode, 0, 1, 100);
  phase(PhaseKind::join, 0, 0, 0);
  phase(PhaseKind::encode, 1, 2, 100);
  phase(PhaseKind::head, 0, 0, 5);
  cost.total.flops_gemm = 1'000'000'000;
  cost.cache_bytes_batch = 40;
  return cost;
}

TEST(BytesFromMemory, CountsEachLayerOnceAndWhatTheCacheKeepsNotAtAll) {
  EXPECT_EQ(bytes_from_memory(decomposed_cost(), 0, 0), 225);
  EXPECT_EQ(bytes_from_memory(decomposed_cost(), 25, 0), 200);
  EXPECT_EQ(bytes_from_memory(decomposed_cost(), 1000, 0), 0);
}

TEST(BytesFromMemory, CountsPassagesWhosePoolIsLargerThanTheCache) {
  EXPECT_EQ(bytes_from_memory(decomposed_cost(), 1000, 900), 0);
  EXPECT_EQ(bytes_from_memory(decomposed_cost(), 1000, 2000), 40);
}

class RunRoofsTest : public ::testing::Test {
 protected:
  RunRoofsTest() {
    std::string pattern = (fs::temp_directory_path() / "deformer-roofs-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    setenv("DEFORMER_BENCH_CACHE_DIR", folder_.c_str(), 1);
    point_.threads = 1;
  }
  ~RunRoofsTest() override { fs::remove_all(folder_); }

  MachineStore::Warn warn() {
    return [this](const std::string& text) { told_.push_back(text); };
  }
  RunRoofs roofs(bool on) { return {machine_, "build-1", on, warn()}; }

  fs::path folder_;
  std::vector<std::string> told_;
  Machine machine_ = read_machine();
  Point point_;
};

TEST_F(RunRoofsTest, AreNullWhenOff) {
  RunRoofs off = roofs(false);
  off.measure({&point_});
  EXPECT_TRUE(off.run_json().is_null());
  const auto achieved = off.achieved_json(point_, decomposed_cost(), 0, 12.5);
  EXPECT_EQ(achieved["gflops"], 12.5);
  for (const char* name :
       {"roof_fraction", "roof_gflops", "bound", "arithmetic_gflops", "arithmetic_by",
        "fma_peak_gflops", "fma_fraction", "best_gemm_gflops"}) {
    EXPECT_TRUE(achieved.at(name).is_null()) << name;
  }
}

TEST_F(RunRoofsTest, APointStandsUnderThePeakThatWasSeenHighest) {
  RunRoofs on = roofs(true);
  on.measure({&point_});
  on.saw_f32(1, 5e12);  // 5 TFLOP/s: above any core's
  on.saw_f32(1, 1e9);   // never lowers it
  on.saw_f32(7, 9e15);  // another team's
  const auto achieved = on.achieved_json(point_, decomposed_cost(), 0, 1000.0);
  EXPECT_DOUBLE_EQ(achieved["fma_peak_gflops"].get<double>(), 5000);
  EXPECT_DOUBLE_EQ(achieved["roof_gflops"].get<double>(), 5000);
  EXPECT_DOUBLE_EQ(achieved["roof_fraction"].get<double>(), 0.2);
  EXPECT_EQ(achieved["bound"], "arithmetic");
  EXPECT_DOUBLE_EQ(achieved["fma_fraction"].get<double>(), 0.2);
  EXPECT_EQ(achieved["arithmetic_by"], "FMA");
  EXPECT_TRUE(achieved["best_gemm_gflops"].is_null());  // `machine` has not been run
  const auto run = on.run_json();
  ASSERT_EQ(run["teams"].size(), 1U);
  EXPECT_EQ(run["teams"][0]["threads"], 1);
  EXPECT_EQ(run["teams"][0]["arithmetic"][0]["dtype"], "f32");
  EXPECT_GT(run["teams"][0]["memory"]["read_gb_per_s"], 0);
  EXPECT_TRUE(run["teams"][0]["stored"].is_null());
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(RunRoofsTest, F32StandsUnderItsHigherPeakAndSaysWhichAndItsShareOfFma) {
  RunRoofs on = roofs(true);
  on.measure({&point_});
  on.refresh(point_);
  const auto achieved = on.achieved_json(point_, decomposed_cost(), 0, 100.0);
  const double fma = achieved["fma_peak_gflops"], peak = achieved["arithmetic_gflops"];
  EXPECT_GE(peak, fma);
  EXPECT_EQ(achieved["arithmetic_by"] == "FMA", peak == fma);
  EXPECT_DOUBLE_EQ(achieved["fma_fraction"].get<double>(), 100 / fma);
  EXPECT_LE(achieved["roof_gflops"].get<double>(), peak);
  double bf16_by_tiles = 0;
  const auto run = on.run_json();
  for (const auto& loop : run["teams"][0]["arithmetic"]) {
    if (loop["isa"] == "amx_bf16" && loop["dtype"] == "bf16") bf16_by_tiles = loop["best_gflops"];
  }
  EXPECT_DOUBLE_EQ(peak, std::max(fma, bf16_by_tiles / 6));
}

TEST_F(RunRoofsTest, BandwidthLimitsWhatHasLittleWorkForItsBytes) {
  machine_.last_level_cache_bytes = 0;
  RunRoofs on = roofs(true);
  on.measure({&point_});
  PlanCost cost = decomposed_cost();
  cost.total.flops_gemm = 1;  // 225 bytes for one FLOP
  const auto achieved = on.achieved_json(point_, cost, 0, std::nullopt);
  EXPECT_EQ(achieved["bound"], "bandwidth");
  const double bandwidth = on.run_json()["teams"][0]["memory"]["read_gb_per_s"];
  EXPECT_NEAR(achieved["roof_gflops"].get<double>(), bandwidth / 225, 1e-9 * bandwidth);
  EXPECT_TRUE(achieved["roof_fraction"].is_null());
}

TEST_F(RunRoofsTest, InstancesCountAsThreads) {
  point_.instances = 2;
  RunRoofs on = roofs(true);
  on.measure({&point_});
  EXPECT_EQ(on.run_json()["teams"][0]["threads"], 2);
}

TEST_F(RunRoofsTest, TheReferenceHasNone) {
  point_.backend = "reference";
  RunRoofs on = roofs(true);
  on.measure({&point_});
  on.refresh(point_);
  EXPECT_TRUE(on.run_json().is_null());
}

TEST_F(RunRoofsTest, ATypeWithoutInstructionsHasAReasonAndNoFraction) {
  point_.dtype = DType::fp8;
  RunRoofs on = roofs(true);
  on.measure({&point_});
  on.refresh(point_);
  EXPECT_TRUE(on.achieved_json(point_, decomposed_cost(), 0, 1.0)["roof_fraction"].is_null());
  EXPECT_TRUE(on.run_json()["teams"][0]["arithmetic"][0]["missing"].is_string());
}

TEST_F(RunRoofsTest, TheBestGemmComesFromTheStoreOfThisBuildAndTeam) {
  Roofs stored;
  stored.threads = 1;
  stored.gemm = {{"library", {1, 2, 3}, 77, 70, ""}};
  roofs_store(machine_, "build-1", 1, warn()).save(kRoofsName, to_json(stored));
  RunRoofs on = roofs(true);
  on.measure({&point_});
  EXPECT_EQ(on.achieved_json(point_, decomposed_cost(), 0, 1.0)["best_gemm_gflops"], 77);
  EXPECT_EQ(on.run_json()["teams"][0]["stored"]["roofs"]["gemm"][0]["best_gflops"], 77);
  EXPECT_FALSE(load_roofs(roofs_store(machine_, "build-2", 1, warn()), warn()));
  EXPECT_FALSE(load_roofs(roofs_store(machine_, "build-1", 2, warn()), warn()));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(RunRoofsTest, WhatWasDisturbedIsShownAndHeldAgainstNothing) {
  Roofs stored;
  stored.threads = 1;
  stored.gemm = {{"library", {1, 2, 3}, 77, 70, ""}};
  stored.disturbed = {"somebody"};
  roofs_store(machine_, "build-1", 1, warn()).save(kRoofsName, to_json(stored));
  RunRoofs on = roofs(true);
  on.measure({&point_});
  EXPECT_TRUE(on.achieved_json(point_, decomposed_cost(), 0, 1.0)["best_gemm_gflops"].is_null());
  EXPECT_EQ(on.run_json()["teams"][0]["stored"]["roofs"]["disturbed"][0], "somebody");
}

TEST_F(RunRoofsTest, WhatWasDisturbedIsWarnedOfAndNotMeasuredAgainUnasked) {
  Roofs stored;
  stored.threads = 1;
  stored.disturbed = {"somebody"};
  roofs_store(machine_, "build-1", 1, warn()).save(kRoofsName, to_json(stored));
  int steps = 0;
  const TeamRoofs team =
      team_roofs(machine_, "build-1", 1, false, warn(), [&steps](const std::string&) { ++steps; });
  EXPECT_EQ(steps, 0);
  EXPECT_NE(team.saved, "");
  EXPECT_THAT(
      told_, ElementsAre(AllOf(HasSubstr("(somebody)"), HasSubstr("machine --fresh --threads 1"))));
}

TEST_F(RunRoofsTest, StoredRoofsOfAnotherFormAreReportedAndNotUsed) {
  roofs_store(machine_, "build-1", 1, warn()).save(kRoofsName, {{"threads", 1}});
  RunRoofs on = roofs(true);
  on.measure({&point_});
  EXPECT_TRUE(on.run_json()["teams"][0]["stored"].is_null());
  EXPECT_THAT(told_, ElementsAre(HasSubstr("machine --fresh")));
}

}  // namespace
}  // namespace deformer
