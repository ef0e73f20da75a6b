#include "workloads/axis.hpp"

#include <string>

#include <gtest/gtest.h>

#include "model/error.hpp"

namespace deformer {
namespace {

using Values = std::vector<std::int64_t>;

Values axis(const char* text) {
  return parse_axis("--axis", text, 0, 1000);
}

std::string message(const char* text) {
  try {
    (void)axis(text);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "no error";
}

TEST(Axis, TakesEveryFormOfTheGrammar) {
  EXPECT_EQ(axis("9"), (Values{9}));
  EXPECT_EQ(axis("1,4,16"), (Values{1, 4, 16}));
  EXPECT_EQ(axis("1:5"), (Values{1, 2, 3, 4, 5}));
  EXPECT_EQ(axis("1:12:2"), (Values{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(axis("1:64:x2"), (Values{1, 2, 4, 8, 16, 32, 64}));
  EXPECT_EQ(axis("3,1:2,100:999:x3"), (Values{3, 1, 2, 100, 300, 900}));
  EXPECT_EQ(axis("0"), (Values{0}));
  EXPECT_EQ(axis("7:7"), (Values{7}));
}

TEST(Axis, NamesEachValueOnce) {
  EXPECT_EQ(axis("2,1:3,2"), (Values{2, 1, 3}));
}

TEST(Axis, RefusesWhatIsNotAnAxis) {
  for (const char* text :
       {"", ",", "1,", "a", "1:", ":3", "1:2:3:4", "1:3:0", "1:3:x1", "1:3:x", "0:8:x2", "1.5",
        "-1", "+1", " 1", "1001", "99999999999999999999", "1:3:-1"}) {
    EXPECT_NE(message(text), "no error") << text;
  }
  EXPECT_NE(message("5:1").find("reversed"), std::string::npos);
  EXPECT_NE(message("5:1").find("--axis"), std::string::npos);
}

TEST(Axis, StopsAtTheEndOfTheNumbers) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(parse_axis("--axis", "9223372036854775806:9223372036854775807", 0, most).size(), 2U);
  EXPECT_EQ(parse_axis("--axis", "4611686018427387904:9223372036854775807:x4", 0, most).size(), 1U);
  EXPECT_THROW(parse_axis("--axis", "1:9223372036854775807", 0, most), BadInput);
}

}  // namespace
}  // namespace deformer
