#include "backends/golden.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "model/error.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A copy of a golden directory that may be spoiled.
class GoldenDirectory : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::path(testing::TempDir()) / (std::string("golden_") + test->name());
    fs::remove_all(dir_);
    fs::copy(fs::path(DEFORMER_TEST_DATA) / "golden" / "bert-one-head", dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  /// One case, full, with these fields replacing the good ones.
  static std::string one_case(const std::string& variant, const std::string& split,
                              const std::string& question, const std::string& output,
                              const std::string& more = "") {
    return R"({"format": 1, "cases": [{"name": "a", "variant": )" + variant + R"(, "split": )" +
           split + R"(, "question_ids": )" + question +
           R"(, "passage_ids": "q3.p8.passage", "output": )" + output + more + "}]}";
  }

  void expect_bad(const std::string& json, const std::string& part) {
    std::ofstream(dir_ / "golden.json") << json;
    try {
      read_golden(dir_);
      FAIL() << "expected BadInput with: " << part;
    } catch (const BadInput& error) {
      EXPECT_THAT(error.what(), HasSubstr(part));
      EXPECT_THAT(error.what(), HasSubstr("golden.json"));
    }
  }

  /// Overwrites the first element of a tensor with ones: -1 as an integer, NaN as a float.
  void spoil(const std::string& tensor) {
    std::fstream file(dir_ / "golden.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    std::uint64_t header_bytes = 0;
    file.read(reinterpret_cast<char*>(&header_bytes), sizeof header_bytes);
    std::string header(header_bytes, ' ');
    file.read(header.data(), static_cast<std::streamsize>(header.size()));
    const auto offset =
        nlohmann::json::parse(header)[tensor]["data_offsets"][0].get<std::uint64_t>();
    file.seekp(static_cast<std::streamoff>(8 + header_bytes + offset));
    file.write("\xff\xff\xff\xff", 4);
  }

  fs::path dir_;
};

constexpr const char* kIds = R"("q3.p8.question")";
constexpr const char* kFull = R"("full")";
constexpr const char* kOutput = R"("q3.p8.full")";

TEST_F(GoldenDirectory, IsReadWithItsWeightsFromElsewhere) {
  const fs::path weights = dir_ / "weights";
  fs::create_directory(weights);
  fs::rename(dir_ / "config.json", weights / "config.json");
  fs::rename(dir_ / "model.safetensors", weights / "model.safetensors");
  EXPECT_THROW(read_golden(dir_), BadInput);
  EXPECT_EQ(read_golden(dir_, weights).cases.size(), 20U);
}

TEST_F(GoldenDirectory, BertCasesAreQuestionFirstUnlessTheFileOrTheCaseSaysOtherwise) {
  const std::string good = one_case(kFull, "0", kIds, kOutput);
  std::ofstream(dir_ / "golden.json") << good;
  EXPECT_EQ(read_golden(dir_).cases.front().order, Order::question_first);
  std::ofstream(dir_ / "golden.json") << R"({"order": "passage-first", )" << good.substr(1);
  EXPECT_EQ(read_golden(dir_).cases.front().order, Order::passage_first);
  std::ofstream(dir_ / "golden.json")
      << R"({"order": "passage-first", )"
      << one_case(kFull, "0", kIds, kOutput, R"(, "order": "question-first")").substr(1);
  EXPECT_EQ(read_golden(dir_).cases.front().order, Order::question_first);
}

TEST_F(GoldenDirectory, MalformedJsonIsBadInputNamingTheField) {
  expect_bad("", "golden.json");
  expect_bad("[]", "expected a JSON object");
  expect_bad("{}", "\"format\"");
  expect_bad(R"({"format": 2, "cases": []})", "found 2");
  expect_bad(R"({"format": 1})", "\"cases\"");
  expect_bad(R"({"format": 1, "cases": []})", "at least one case");
  expect_bad(R"({"format": 1, "cases": [7]})", "case 0: expected an object");
  expect_bad(R"({"format": 1, "order": "sideways", "cases": [{}]})", "order: expected");
  expect_bad(R"({"format": 1, "cases": [{}]})", "\"name\"");
}

TEST_F(GoldenDirectory, CasesThatDoNotFitTheModelAreBadInputNamingTheCase) {
  expect_bad(one_case(R"("half")", "0", kIds, kOutput), "case \"a\": variant: expected");
  expect_bad(one_case(R"("cached")", "2", kIds, kOutput), "split: expected 0 to 1");
  expect_bad(one_case(R"("cached")", "-1", kIds, kOutput), "split: expected 0 to 1");
  expect_bad(one_case(R"("cached")", "1e300", kIds, kOutput), "\"split\", an integer");
  expect_bad(one_case(R"("cached")", "18446744073709551615", kIds, kOutput), "an integer");
  expect_bad(one_case(kFull, "0", R"("nobody")", kOutput), "expected a tensor \"nobody\"");
  expect_bad(one_case(kFull, "0", kOutput, kOutput), "question_ids: expected I32 [1, tokens]");
  expect_bad(one_case(kFull, "0", kIds, kIds), "output: expected F32 [11, 17]");
  expect_bad(one_case(kFull, "0", kIds, R"("q1.p1.full")"), "found F32 [2, 17]");
  expect_bad(one_case(kFull, "0", kIds, kOutput, R"(, "head": "q3.p8.full")"), "have none");
  expect_bad(one_case(kFull, "0", kIds, kOutput, R"(, "order": 1)"), "\"order\", a string");
}

TEST_F(GoldenDirectory, TwoCasesOfOneNameAreBadInput) {
  const std::string good = one_case(kFull, "0", kIds, kOutput);
  const auto begin = good.find("[{") + 1;
  const std::string entry = good.substr(begin, good.size() - 2 - begin);
  expect_bad(R"({"format": 1, "cases": [)" + entry + "," + entry + "]}", "occurs twice");
}

TEST_F(GoldenDirectory, IdsOutsideTheVocabularyAreBadInput) {
  spoil("q3.p8.question");
  expect_bad(one_case(kFull, "0", kIds, kOutput), "found -1 at token 0");
}

TEST_F(GoldenDirectory, NanOutputsAreBadInput) {
  spoil("q3.p8.full");
  expect_bad(one_case(kFull, "0", kIds, kOutput), "output: expected finite values");
}

// --- parity
// ---------------------------------------------------------------------------------------

TEST(Parity, ReportsTheLargestDifferenceAndTheWorstRow) {
  const std::vector<float> expected = {1, 0, 3, 4};
  const std::vector<float> actual = {1, 0, 4, 3};
  const ParityResult result = compare_rows(actual, expected, 2);
  EXPECT_DOUBLE_EQ(result.max_abs, 1.0);
  EXPECT_DOUBLE_EQ(result.cosine_min, 24.0 / 25.0);
  EXPECT_TRUE(result.finite);
}

TEST(Parity, ANanOrInfinityAnywhereFailsEveryTolerance) {
  const std::vector<float> expected = {1, 2, 3, 4};
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (std::size_t at = 0; at < 4; ++at) {
      std::vector<float> actual = expected;
      actual[at] = bad;
      const ParityResult result = compare_rows(actual, expected, 2);
      EXPECT_FALSE(result.finite);
      for (const DType dtype : {DType::f32, DType::bf16, DType::int8, DType::bit1}) {
        EXPECT_FALSE(tolerance_for(false, dtype, 1.0).accepts(result));
      }
    }
  }
}

TEST(Parity, ARowOfZerosAgreesOnlyWithItself) {
  const std::vector<float> zeros = {0, 0};
  const std::vector<float> ones = {1, 1};
  EXPECT_EQ(compare_rows(zeros, zeros, 2).cosine_min, 1.0);
  EXPECT_EQ(compare_rows(zeros, ones, 2).cosine_min, 0.0);
}

TEST(Parity, TolerancesAreTheInterfaces) {
  const auto limit = [](const Tolerance& tolerance) { return tolerance.limit; };
  EXPECT_DOUBLE_EQ(limit(tolerance_for(true, DType::bf16, 100.0)), 2e-5);
  EXPECT_DOUBLE_EQ(limit(tolerance_for(false, DType::f32, 9.0)), 2e-4);
  EXPECT_DOUBLE_EQ(limit(tolerance_for(false, DType::f32, 50.0)), 1e-3);
  EXPECT_EQ(tolerance_for(false, DType::bf16, 1.0).text(), "row cosine >= 0.999");
  EXPECT_EQ(tolerance_for(false, DType::f16, 1.0).text(), "row cosine >= 0.999");
  EXPECT_EQ(tolerance_for(false, DType::int8, 1.0).text(), "row cosine >= 0.99");
  EXPECT_EQ(tolerance_for(false, DType::fp8, 1.0).text(), "row cosine >= 0.99");
  EXPECT_EQ(tolerance_for(false, DType::bit1, 1.0).kind, ToleranceKind::reported);
}

TEST(Parity, TheCoarserOfDTypeAndCacheDTypeDecides) {
  EXPECT_EQ(tolerance_for(true, DType::f32, 1.0, DType::bf16).limit, 0.999);
  EXPECT_EQ(tolerance_for(false, DType::int8, 1.0, DType::bf16).limit, 0.99);
  EXPECT_EQ(tolerance_for(false, DType::bf16, 1.0, DType::int8).limit, 0.99);
}

}  // namespace
}  // namespace deformer
