#include "reports/fields.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

TEST(Fields, ADottedPathIsFollowedThroughObjectsOnly) {
  const Json record = {{"time", {{"median", 5}}}, {"name", "n"}, {"list", {1, 2}}};
  EXPECT_EQ(number_field(record, "time.median"), 5.0);
  EXPECT_EQ(text_field(record, "time.median"), "5");
  EXPECT_EQ(text_field(record, "name"), "n");
  for (const char* path :
       {"", "time", "time.", "time.other", "name.x", "list.0", "list", "none.x"}) {
    EXPECT_FALSE(number_field(record, path)) << path;
  }
  EXPECT_FALSE(text_field(record, "list"));
}

TEST(Fields, NullAndWhatIsNotFiniteAreNothing) {
  for (const Json& bad : {Json(nullptr), Json(std::numeric_limits<double>::quiet_NaN()),
                          Json(std::numeric_limits<double>::infinity())}) {
    const Json record = {{"x", bad}};
    EXPECT_FALSE(number_field(record, "x"));
    EXPECT_FALSE(text_field(record, "x"));
  }
}

TEST(Fields, OnlyPositiveNumbersArePositive) {
  EXPECT_EQ(positive_field({{"x", 2}}, "x"), 2.0);
  EXPECT_FALSE(positive_field({{"x", 0}}, "x"));
  EXPECT_FALSE(positive_field({{"x", -1}}, "x"));
}

}  // namespace
}  // namespace deformer
