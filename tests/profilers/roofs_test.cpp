#include "profilers/roofs.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

// ---- pure functions, by hand

TEST(RoofOf, IsThePeakWhereArithmeticIsTheLimit) {
  // 8e9 FLOP over 1e8 bytes: 80 FLOP a byte, x 30 GB/s = 2400 GFLOP/s
  const auto roof = roof_of(8e9, 1e8, 200.0, 30.0);
  ASSERT_TRUE(roof);
  EXPECT_DOUBLE_EQ(roof->gflops, 200);
  EXPECT_FALSE(roof->bandwidth);
}

TEST(RoofOf, IsIntensityTimesBandwidthWhereThatIsLower) {
  // 1e9 FLOP over 5e8 bytes: 2 FLOP a byte, x 30 GB/s = 60 GFLOP/s
  const auto roof = roof_of(1e9, 5e8, 200.0, 30.0);
  ASSERT_TRUE(roof);
  EXPECT_DOUBLE_EQ(roof->gflops, 60);
  EXPECT_TRUE(roof->bandwidth);
}

TEST(RoofOf, IsThePeakWhereNothingComesFromMemoryOrItsSpeedIsUnknown) {
  EXPECT_DOUBLE_EQ(roof_of(1e9, 0, 200.0, 30.0)->gflops, 200);
  EXPECT_DOUBLE_EQ(roof_of(1e9, 5e8, 200.0, std::nullopt)->gflops, 200);
}

TEST(RoofOf, IsUnknownWithoutAPeakOrWork) {
  EXPECT_FALSE(roof_of(1e9, 5e8, std::nullopt, 30.0));
  EXPECT_FALSE(roof_of(1e9, 5e8, 0.0, 30.0));
  EXPECT_FALSE(roof_of(0, 5e8, 200.0, 30.0));
  EXPECT_FALSE(roof_of(std::numeric_limits<double>::quiet_NaN(), 0, 200.0, 30.0));
}

Roofs made_up() {
  Roofs roofs;
  roofs.threads = 2;
  roofs.arithmetic = {{"f32", "avx512f", "fma zmm", 2, 236.5, 230, ""},
                      {"f32", "avx2", "fma ymm", 2, 240, 231, ""},
                      {"bf16", "", "", 2, 0, 0, "no instructions"}};
  roofs.bandwidth = {{"L1", 2, 32768, {445, 440, 470, 460}, ""},
                     {"memory", 1, 1 << 27, {20, 19, 18, 17}, ""},
                     {"memory", 2, 1 << 27, {35, 33, 37, 34}, ""},
                     {"L4", 2, 0, {}, "too large"}};
  roofs.gemm = {{"A", {320, 3072, 768}, 180, 170, ""},
                {"B", {320, 3072, 768}, 190, 185, ""},
                {"C", {320, 3072, 768}, 0, 0, "its product is wrong"}};
  roofs.team = {{550, 580}, Percentiles{61, std::nullopt}};
  roofs.rounds = 2;
  roofs.disturbed = {"somebody"};
  return roofs;
}

TEST(Roofs, FindsItsBest) {
  const Roofs roofs = made_up();
  EXPECT_EQ(roofs.peak_gflops("f32"), 240);  // of all instruction sets
  EXPECT_FALSE(roofs.peak_gflops("bf16"));
  EXPECT_FALSE(roofs.peak_gflops("fp8"));
  EXPECT_EQ(roofs.memory_read_gb_per_s(), 35);  // with all threads
  ASSERT_NE(roofs.best_gemm(), nullptr);
  EXPECT_EQ(roofs.best_gemm()->library, "B");
  EXPECT_EQ(Roofs{}.best_gemm(), nullptr);
  EXPECT_FALSE(Roofs{}.memory_read_gb_per_s());
}

/// f32 at 500 by multiply-adds, bf16 at 7800 on AMX and 250 on vectors.
Roofs with_tiles() {
  Roofs roofs;
  roofs.threads = 2;
  roofs.arithmetic = {{"f32", "avx512f", "vfmadd213ps zmm", 2, 500, 499, ""},
                      {"bf16", "amx_bf16", "tdpbf16ps tmm", 2, 7800, 7200, ""},
                      {"bf16", "avx512_bf16", "vdpbf16ps zmm", 2, 250, 249, ""}};
  return roofs;
}

TEST(ThreePartRoof, IsASixthOfWhatAmxDoesInBf16AndNothingOnVectors) {
  const Roofs roofs = with_tiles();
  const auto roof = three_part_roof(roofs.arithmetic[1]);
  ASSERT_TRUE(roof);
  EXPECT_EQ(roof->dtype, "f32");
  EXPECT_EQ(roof->threads, 2);
  EXPECT_DOUBLE_EQ(roof->best_gflops, 1300);
  EXPECT_DOUBLE_EQ(roof->median_gflops, 1200);
  EXPECT_EQ(roof->by(), "AMX, three bf16 parts: AMX bf16 / 6");
  EXPECT_FALSE(three_part_roof(roofs.arithmetic[0]));
  EXPECT_FALSE(three_part_roof(roofs.arithmetic[2]));
  EXPECT_FALSE(three_part_roof({"bf16", "", "", 2, 0, 0, "no instructions"}));
  EXPECT_FALSE(three_part_roof({"int8", "amx_int8", "tdpbusd tmm", 2, 15000, 15000, ""}));
}

// Noise or a favourable moment may lift one above the registers' loop.
TEST(Roofs, TilesThatLoadTheirFactorsAreNone) {
  Roofs roofs = with_tiles();
  roofs.arithmetic.push_back({"bf16", "amx_bf16_loaded", "tdpbf16ps tmm", 2, 7900, 7900, ""});
  EXPECT_DOUBLE_EQ(roofs.peak("bf16")->best_gflops, 7800);
  EXPECT_FALSE(three_part_roof(roofs.arithmetic.back()));
}

TEST(Roofs, OfF32TheHigherWayIsTheRoofAndMultiplyAddsKeepTheirs) {
  Roofs roofs = with_tiles();
  EXPECT_EQ(roofs.peak("f32")->by(), "FMA");
  roofs.arithmetic.push_back(*three_part_roof(roofs.arithmetic[1]));
  EXPECT_DOUBLE_EQ(roofs.peak("f32")->best_gflops, 1300);
  EXPECT_DOUBLE_EQ(roofs.vector_peak("f32")->best_gflops, 500);
  EXPECT_EQ(roofs.vector_peak("f32")->by(), "FMA");
  EXPECT_DOUBLE_EQ(roofs.vector_peak("bf16")->best_gflops, 250);
  EXPECT_EQ(roofs.peak("bf16")->by(), "amx_bf16");
  roofs.arithmetic[0].best_gflops = 2000;  // a processor whose vectors are quicker than its tiles
  EXPECT_EQ(roofs.peak("f32")->by(), "FMA");
  EXPECT_EQ(roofs.peak("int8"), nullptr);
}

TEST(Raise, KeepsTheHigherOfEachFigure) {
  Roofs lower = made_up();
  Roofs higher = made_up();
  higher.disturbed.clear();
  lower.arithmetic[0].best_gflops = 100;
  lower.bandwidth[0].rate = {500, 490, 300, 290};
  lower.gemm[2] = {"C", {320, 3072, 768}, 60, 50, ""};
  lower.team.region.median_ns = 900;
  raise(lower, higher);
  EXPECT_EQ(lower.arithmetic[0].best_gflops, 236.5);
  EXPECT_EQ(lower.arithmetic[0].median_gflops, 230);
  EXPECT_EQ(lower.bandwidth[0].rate.read_gb_per_s, 500);  // each way for itself
  EXPECT_EQ(lower.bandwidth[0].rate.copy_gb_per_s, 470);
  EXPECT_EQ(lower.bandwidth[0].rate.copy_median_gb_per_s, 460);
  EXPECT_EQ(lower.gemm[2].best_gflops, 60);  // was not measured in the other
  EXPECT_EQ(lower.team.region.median_ns, 550);
  EXPECT_TRUE(lower.disturbed.empty());  // as good as the undisturbed one at least
  Roofs lowest = made_up();
  lowest.bandwidth[0].rate = {1, 1, 1, 1};
  raise(lower, lowest);
  EXPECT_EQ(lower.bandwidth[0].rate.read_gb_per_s, 500);
  EXPECT_EQ(lower.bandwidth[0].rate.copy_gb_per_s, 470);
  Roofs undisturbed = made_up();
  undisturbed.disturbed.clear();
  raise(undisturbed, made_up());
  EXPECT_TRUE(undisturbed.disturbed.empty());
  Roofs both = made_up();
  raise(both, made_up());
  EXPECT_FALSE(both.disturbed.empty());
}

TEST(Raise, NeverMixesUpWhatIsNotTheSame) {
  Roofs roofs = made_up();
  Roofs other = made_up();
  other.gemm[0] = {"A", {2560, 3072, 768}, 1000, 1000, ""};
  other.bandwidth[1].threads = 3;
  other.bandwidth[1].rate.read_gb_per_s = 1000;
  raise(roofs, other);
  EXPECT_EQ(roofs.gemm[0].best_gflops, 180);
  EXPECT_EQ(roofs.bandwidth[1].rate.read_gb_per_s, 20);
}

// ---- JSON

TEST(RoofsJson, ComesBackAsItWas) {
  const Json json = Json::parse(to_json(made_up()).dump());
  const auto again = roofs_from_json(json);
  ASSERT_TRUE(again);
  EXPECT_EQ(to_json(*again), json);
  EXPECT_EQ(again->bandwidth[0].working_set_bytes, 32768);
  EXPECT_EQ(again->gemm[2].missing, "its product is wrong");
  EXPECT_EQ(again->team.region.p99_ns, 580);
  ASSERT_TRUE(again->team.barrier);
  EXPECT_FALSE(again->team.barrier->p99_ns);
  EXPECT_EQ(again->rounds, 2);
  EXPECT_EQ(again->disturbed, std::vector<std::string>{"somebody"});
}

TEST(RoofsJson, WhatWasNotMeasuredIsNullWithItsReason) {
  const Json json = to_json(made_up());
  EXPECT_TRUE(json["arithmetic"][2]["best_gflops"].is_null());
  EXPECT_EQ(json["arithmetic"][2]["missing"], "no instructions");
  EXPECT_TRUE(json["arithmetic"][0]["missing"].is_null());
}

/// Every way of spoiling one value anywhere in the document.
void spoil(Json& whole, Json& at, std::vector<std::string>& taken, const std::string& path) {
  const Json kept = at;
  for (const Json& wrong : {Json("word"), Json(-1), Json::array(), Json::object(), Json(true)}) {
    at = wrong;
    const bool was_text = kept.is_string() || (kept.is_null() && wrong.is_string());
    const bool same_kind = wrong.type() == kept.type() || (was_text && wrong.is_string());
    if (!same_kind && roofs_from_json(whole)) taken.push_back(path + " = " + wrong.dump());
  }
  at = kept;
  if (at.is_structured()) {
    for (auto& [name, inner] : at.items()) spoil(whole, inner, taken, path + "/" + name);
  }
}

TEST(RoofsJson, ASpoiledFieldIsNeverTaken) {
  Json json = to_json(made_up());
  std::vector<std::string> taken;
  spoil(json, json, taken, "");
  for (const std::string& what : taken) ADD_FAILURE() << what;
  EXPECT_TRUE(roofs_from_json(json));
}

TEST(RoofsJson, AMissingFieldIsNotTaken) {
  const Json whole = to_json(made_up());
  for (const char* name :
       {"threads", "arithmetic", "bandwidth", "gemm", "team", "rounds", "disturbed"}) {
    Json json = whole;
    json.erase(name);
    EXPECT_FALSE(roofs_from_json(json)) << name;
  }
  EXPECT_FALSE(roofs_from_json(nullptr));
  EXPECT_FALSE(roofs_from_json(Json::array()));
}

// ---- measurements: only what holds on a loaded machine too

/// A slow candidate that multiplies as a schoolbook does, `spoiled` by a factor.
GemmCandidate schoolbook(float factor) {
  return {"schoolbook",
          [factor](const GemmShape& shape, int, const float* a, const float* w,
                   float* c) -> std::function<void()> {
            return [=] {
              for (std::int64_t i = 0; i < shape.m * shape.n; ++i) {
                float sum = 0;
                for (std::int64_t k = 0; k < shape.k; ++k) {
                  sum += a[i / shape.n * shape.k + k] * w[i % shape.n * shape.k + k];
                }
                c[i] = sum * factor;
              }
            };
          }};
}

TEST(MeasureGemm, GivesTheRateOfARightProduct) {
  const GemmRoof roof = measure_gemm(schoolbook(1), {31, 17, 64}, 1, 1'000'000);
  EXPECT_EQ(roof.missing, "");
  EXPECT_GT(roof.median_gflops, 0);
  EXPECT_GE(roof.best_gflops, roof.median_gflops);
}

TEST(MeasureGemm, RefusesAWrongProductHoweverFast) {
  EXPECT_EQ(measure_gemm(schoolbook(1.01F), {31, 17, 64}, 1, 1'000'000).missing,
            "its product is wrong");
  const GemmCandidate lazy{
      "lazy", [](const GemmShape&, int, const float*, const float*, float*) { return [] {}; }};
  EXPECT_EQ(measure_gemm(lazy, {31, 17, 64}, 1, 1'000'000).missing, "its product is wrong");
}

TEST(MeasureGemm, ReportsWhatALibraryThrows) {
  const GemmCandidate broken{
      "broken",
      [](const GemmShape&, int, const float*, const float*, float*) -> std::function<void()> {
        throw std::runtime_error("no kernel");
      }};
  const GemmRoof roof = measure_gemm(broken, {8, 8, 8}, 1, 1'000'000);
  EXPECT_EQ(roof.missing, "no kernel");
  EXPECT_EQ(roof.best_gflops, 0);
}

TEST(MeasureGemm, RefusesMoreMemoryThanThereIs) {
  const GemmRoof roof = measure_gemm(schoolbook(1), {1 << 24, 1 << 24, 8}, 1, 1'000'000);
  EXPECT_NE(roof.missing.find("available memory"), std::string::npos) << roof.missing;
}

TEST(MeasurePeak, HasTheReasonWhereThereIsNone) {
  EXPECT_NE(measure_peak("fp8", 1, 1'000'000).missing, "");
  EXPECT_EQ(measure_peak("f32", 1, 1'000'000).missing, "");
}

TEST(MeasureMemory, RefusesACacheThatMemoryCannotExceed) {
  Machine machine;
  machine.last_level_cache_bytes = std::int64_t{1} << 50;
  EXPECT_NE(measure_memory(machine, 1, 4, 1'000'000).missing, "");
}

TEST(MeasureRoofs, StopsBetweenStepsAndSaysSo) {
  int steps = 0;
  const Roofs roofs = measure_roofs(
      read_machine(), 1, {schoolbook(1)}, [&steps](const std::string&) { ++steps; },
      [&steps] { return steps < 1; });
  EXPECT_EQ(steps, 1);
  EXPECT_EQ(roofs.arithmetic.front().missing, "");
  EXPECT_EQ(roofs.bandwidth.back().missing, "interrupted");
  EXPECT_EQ(roofs.gemm.back().missing, "interrupted");
}

}  // namespace
}  // namespace deformer
