#include "reports/attribution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

Json row(const std::string& path, const std::string& level, double ns) {
  return {{"path", path}, {"level", level}, {"median_ns", ns}};
}

/// Two layers of three operations, each of 100 ns; `factor` scales all, `extra` goes to one.
Json record(double factor, const std::string& slow = "", double extra_ns = 0) {
  Json ranges = Json::array();
  double whole = 0;
  for (const char* layer : {"encode(joint,0..2)/layer 0", "encode(joint,0..2)/layer 1"}) {
    for (const char* operation : {"qkv", "attention", "ffn1"}) {
      const std::string path = std::string(layer) + "/" + operation;
      const double ns = factor * 100 + (path == slow ? extra_ns : 0);
      whole += ns;
      ranges.push_back(row(path, "op", ns));
    }
  }
  return {{"key", "k"},
          {"name", "n"},
          {"status", "ok"},
          {"phases", Json::array({{{"name", "encode(joint,0..2)"}, {"median_ns", whole}},
                                  {{"name", "head"}, {"median_ns", factor}}})},
          {"ranges", ranges}};
}

TEST(Attribution, NamesTheOperationThatGotSlower) {
  const auto found = attribute(record(1), record(1, "encode(joint,0..2)/layer 1/ffn1", 20));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ranges.front().path, "encode(joint,0..2)/layer 1/ffn1");
  EXPECT_DOUBLE_EQ(found->ranges.front().excess_ns, 20);
  EXPECT_DOUBLE_EQ(found->common_ratio, 1);
}

TEST(Attribution, ASlowerClockIsCommonToAll) {
  const auto found = attribute(record(1), record(1.3, "encode(joint,0..2)/layer 0/qkv", 20));
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->common_ratio, 1.3, 1e-12);
  EXPECT_EQ(found->ranges.front().path, "encode(joint,0..2)/layer 0/qkv");
  EXPECT_NEAR(found->ranges.front().excess_ns, 20, 1e-9);
  EXPECT_NEAR(found->ranges.back().excess_ns, 0, 1e-9);
}

TEST(Attribution, WhatGotFasterIsNamedWhenTheWholeDid) {
  const auto found = attribute(record(1), record(1, "encode(joint,0..2)/layer 0/qkv", -50));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ranges.front().path, "encode(joint,0..2)/layer 0/qkv");
  EXPECT_DOUBLE_EQ(found->ranges.front().excess_ns, -50);
}

TEST(Attribution, WithoutOperationsPhasesAreNamed) {
  Json a = record(1);
  Json b = record(1, "encode(joint,0..2)/layer 0/qkv", 20);
  b.erase("ranges");
  const auto found = attribute(a, b);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ranges.front().path, "encode(joint,0..2)");
  EXPECT_EQ(found->ranges.front().level, "phase");
  EXPECT_DOUBLE_EQ(found->common_ratio, 1);  // one phase is nearly all there is
  EXPECT_DOUBLE_EQ(found->ranges.front().excess_ns, 20);
}

TEST(Attribution, NothingInCommonIsNothing) {
  EXPECT_FALSE(attribute(Json{{"phases", nullptr}}, record(1)));
  EXPECT_FALSE(attribute(Json{{"ranges", "broken"}, {"phases", 3}}, record(1)));
}

TEST(Attribution, OnlyOkPairsAreAttributed) {
  Json failed = record(1);
  failed["status"] = "failed";
  EXPECT_EQ(attribute_records({record(1)}, {record(2)}).size(), 1U);
  EXPECT_TRUE(attribute_records({record(1)}, {failed}).empty());
  EXPECT_TRUE(attribute_records({record(1)}, {}).empty());
}

TEST(Attribution, APlantedSlowdownIsSaid) {
  Json b = record(1, "encode(joint,0..2)/layer 1/ffn1", 20);
  b["injected"] = "op=ffn1,slowdown=3%";
  const auto rows = attribute_records({record(1)}, {b});
  const std::string text = print_table(attribution_table(rows, 3), TableFormat::console);
  EXPECT_THAT(text, ::testing::HasSubstr("NOT A MEASUREMENT: B has a planted slowdown"));
  EXPECT_EQ(attribution_json(rows.front().attribution)["injected"]["b"], "op=ffn1,slowdown=3%");
}

}  // namespace
}  // namespace deformer
