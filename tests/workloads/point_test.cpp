#include "workloads/point.hpp"

#include <string>

#include <gtest/gtest.h>

#include "model/error.hpp"

namespace deformer {
namespace {

Point squad() {
  Point point;
  point.model = "bert-base";
  point.task = "squad";
  point.question = 27;
  point.passage = 293;
  point.threads = 2;
  return point;
}

Point squad_cached() {
  Point point = squad();
  point.variant = Variant::cached;
  point.split = 9;
  return point;
}

Point everything() {
  Point point;
  point.model = "m@1234abcd";
  for (int i = 0; i < 32; ++i) {
    point.weights += "ab";
  }
  point.question = 58;
  point.passage = 42;
  point.batch = 8;
  point.r = 4;
  point.c = 100;
  point.order = Order::passage_first;
  point.variant = Variant::cached;
  point.split = 0;
  point.backend = "cuda";
  point.dtype = DType::bf16;
  point.cache_dtype = DType::int8;
  point.passages = 64;
  point.threads = 1;
  point.instances = 2;
  point.seed = 7;
  point.lengths = "uniform:32-320";
  point.text = "0123abcd";
  return point;
}

// Vectors from an independent Python program (hashlib, json.dumps with sorted keys and no spaces).
TEST(PointKeys, NeverDrift) {
  EXPECT_EQ(point_key(squad()), "08f41da6fbe4cef2");
  EXPECT_EQ(group_key(squad()), "c2979532b1dd6235");
  EXPECT_EQ(point_key(squad_cached()), "5cf4f318ced9e2d0");
  EXPECT_EQ(group_key(squad_cached()), "c2979532b1dd6235");
  EXPECT_EQ(point_key(everything()), "d4b4369e2771bb1d");
  EXPECT_EQ(group_key(everything()), "9f953abde5d9163c");
}

TEST(PointName, LeavesOutWhatIsAtItsDefault) {
  EXPECT_EQ(point_name(squad_cached()), "bert-base/squad/q27/p293/k9/b1/cached/cpu/f32/t2");
  EXPECT_EQ(point_name(squad()), "bert-base/squad/q27/p293/b1/full/cpu/f32/t2");
}

TEST(PointName, NamesWhatDiffers) {
  EXPECT_EQ(
      point_name(everything()),
      "m@1234abcd/q58/p42/r4/c100/passage-first/uniform:32-320/text-0123abcd/k0/b8/cached/cuda/"
      "bf16/cache-int8/passages-64/t1/i2/seed-7");
}

TEST(PointJson, FieldsThatMeanSomethingOnlyForCachedAreAbsentElsewhere) {
  Point point = everything();
  point.variant = Variant::decomposed;
  const nlohmann::json json = point_json(point);
  EXPECT_FALSE(json.contains("cache_dtype"));
  EXPECT_FALSE(json.contains("passages"));
  EXPECT_TRUE(json.contains("split"));
  point.variant = Variant::full;
  EXPECT_FALSE(point_json(point).contains("split"));
}

TEST(PointJson, ReadsBackWhatItWrote) {
  for (const Point& point : {squad(), squad_cached(), everything()}) {
    EXPECT_EQ(point_json(point_from_json(point_json(point))), point_json(point));
  }
}

TEST(PointJson, BadFieldsAreNamed) {
  const auto message = [](const char* field, const nlohmann::json& value) -> std::string {
    nlohmann::json json = point_json(squad_cached());
    json[field] = value;
    try {
      (void)point_from_json(json);
    } catch (const BadInput& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(message("batch", 0).find("point.batch"), std::string::npos);
  EXPECT_NE(message("batch", "1").find("point.batch"), std::string::npos);
  EXPECT_NE(message("question", 1.5).find("point.question"), std::string::npos);
  EXPECT_NE(message("question", 18446744073709551615U).find("point.question"), std::string::npos);
  EXPECT_NE(message("variant", "half").find("point.variant"), std::string::npos);
  EXPECT_NE(message("seed", -1).find("point.seed"), std::string::npos);
  EXPECT_THROW(point_from_json(nlohmann::json::array()), BadInput);
}

TEST(PointJson, PlaceAndColdAreThereOnlyWhereTheyAreAsked) {
  Point point = squad_cached();
  EXPECT_FALSE(point_json(point).contains("cache_at"));
  EXPECT_FALSE(point_json(point).contains("cold"));
  point.cache_at = CachePlace::pinned;
  point.cold = true;
  EXPECT_EQ(point_json(point).at("cache_at"), "pinned");
  EXPECT_EQ(point_json(point).at("cold"), true);
  EXPECT_EQ(point_name(point), "bert-base/squad/q27/p293/k9/b1/cached/cpu/f32/at-pinned/cold/t2");
  const Point back = point_from_json(point_json(point));
  EXPECT_EQ(back.cache_at, CachePlace::pinned);
  EXPECT_TRUE(back.cold);
  Point full = squad();
  full.cold = true;
  full.cache_at = CachePlace::pinned;  // means nothing there
  EXPECT_FALSE(point_json(full).contains("cache_at"));
  EXPECT_EQ(group_key(full), group_key(point)) << "the place is a variant's, cold the group's";
  EXPECT_NE(group_key(full), group_key(squad()));
  auto bad = point_json(point);
  bad["cache_at"] = "moon";
  EXPECT_THROW((void)point_from_json(bad), BadInput);
  bad = point_json(point);
  bad["cold"] = "yes";
  EXPECT_THROW((void)point_from_json(bad), BadInput);
}

}  // namespace
}  // namespace deformer
