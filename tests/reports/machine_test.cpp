#include "reports/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace deformer {
namespace {

using testing::HasSubstr;
using testing::Not;

Roofs made_up() {
  Roofs roofs;
  roofs.threads = 2;
  roofs.arithmetic = {{"f32", "avx2", "vfmadd213ps ymm", 2, 200.04, 195, ""},
                      {"bf16", "", "", 2, 0, 0, "this processor has no AVX512_BF16 instructions"}};
  roofs.bandwidth = {{"memory", 2, 134'217'728, {35.8, 33.7, 37.5, 33.4}, ""},
                     {"L3", 2, 0, {}, "too little memory"}};
  roofs.gemm = {{"oneDNN", {320, 3072, 768}, 150, 140, ""},
                {"own", {320, 3072, 768}, 180, 170, ""},
                {"oneDNN", {27, 768, 768}, 120, 110, ""},
                {"own", {27, 768, 768}, 0, 0, "its product is wrong"}};
  roofs.team = {{551, 580}, std::nullopt};
  return roofs;
}

std::string printed(const Roofs& roofs) {
  std::string text;
  for (const Table& table : roofs_tables(roofs, "measured now")) {
    text += print_table(table, TableFormat::console) + "\n";
  }
  return text;
}

TEST(RoofsTables, ShowEveryFigureAndEveryReason) {
  const std::string text = printed(made_up());
  for (const char* word :
       {"Arithmetic, 2 threads (measured now)", "200.0", "no AVX512_BF16", "134 MB", "35.8",
        "L3: too little memory", "551 ns", "own, 27 x 768 x 768: its product is wrong"}) {
    EXPECT_THAT(text, HasSubstr(word));
  }
}

TEST(RoofsTables, HaveOneRowAShapeAndOneColumnALibrary) {
  const Table gemm = roofs_tables(made_up(), "")[2];
  ASSERT_EQ(gemm.columns.size(), 3U);
  ASSERT_EQ(gemm.rows.size(), 2U);
  EXPECT_EQ(gemm.rows[0], (std::vector<Cell>{"320 x 3072 x 768", "150.0", "180.0"}));
  EXPECT_EQ(gemm.rows[1], (std::vector<Cell>{"27 x 768 x 768", "120.0", std::nullopt}));
  EXPECT_THAT(gemm.notes.back(), HasSubstr("best: 180.0 GFLOP/s, own at 320 x 3072 x 768, 90.0 %"));
}

TEST(RoofsTables, OfNothingMeasuredPrint) {
  EXPECT_THAT(printed(Roofs{}), HasSubstr("Thread team"));
}

TEST(FingerprintTable, MarksWhatDecidesAndShowsCachesAsTheyAreSold) {
  const nlohmann::ordered_json machine = {
      {"cpu_model", "EPYC"},
      {"memory_bytes", 25'300'000'000},
      {"kernel", "6.1"},
      {"governor", nullptr},
      {"caches",
       {{{"level", 1}, {"size_bytes", 32768}, {"count", 2}, {"shared_by", 1}},
        {{"level", 3}, {"size_bytes", 33554432}, {"count", 1}, {"shared_by", 2}}}},
      {"libraries", {{"oneDNN", "2.6.3"}}},
      {"deciding", {{"cpu_model", "EPYC"}, {"memory_gib", "24"}}}};
  const Table table = fingerprint_table(machine);
  ASSERT_EQ(table.rows.size(), 6U);
  EXPECT_EQ(table.rows[0], (std::vector<Cell>{"cpu_model", "EPYC", "yes"}));
  EXPECT_EQ(table.rows[1], (std::vector<Cell>{"memory_bytes", "25.3 GB", "yes"}));
  EXPECT_EQ(table.rows[2], (std::vector<Cell>{"kernel", "6.1", std::nullopt}));
  EXPECT_EQ(table.rows[3][1], "none");
  EXPECT_EQ(table.rows[4][1], "L1 32 KiB x 2, L3 32 MiB, each shared by 2");
  EXPECT_EQ(table.rows[5], (std::vector<Cell>{"libraries", "oneDNN 2.6.3", "yes"}));
}

}  // namespace
}  // namespace deformer
