#include "workloads/sentence_piece.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/error.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CleanForXlnet, DropsAccentsAndExtraBlanks) {
  EXPECT_EQ(clean_for_xlnet("  na\u00efve \t caf\u00e9\n", {}), "naive cafe");
  EXPECT_EQ(clean_for_xlnet("\u00c5\ufb01\u00bd", {}), "Afi1\u20442");
  EXPECT_EQ(clean_for_xlnet(" a  b ", {.remove_space = false}), " a  b ");
  EXPECT_EQ(clean_for_xlnet("caf\u00e9", {.keep_accents = true}), "caf\u00e9");
}

TEST(CleanForXlnet, TakesTwoQuotesForOne) {
  EXPECT_EQ(clean_for_xlnet("``so'' 'it' goes'''", {}), "\"so\" 'it' goes\"'");
}

TEST(CleanForXlnet, LowersCaseOnlyWhenAsked) {
  EXPECT_EQ(clean_for_xlnet("Stra\u00dfe \u039f\u0394\u039f\u03a3", {.lower_case = true}),
            "stra\u00dfe \u03bf\u03b4\u03bf\u03c2");
  EXPECT_EQ(clean_for_xlnet("ABC", {}), "ABC");
}

TEST(CleanForXlnet, ReadsInvalidUtf8AsReplacementCharacters) {
  EXPECT_EQ(clean_for_xlnet("a\xff z", {}), "a\ufffd z");
}

/// A folder of its own, with a model that ctest had trained (see make_sentence_piece_data.py).
class SentencePieceCases : public testing::Test {
 protected:
  SentencePieceCases()
      : folder_(fs::path(testing::TempDir()) / ("spiece-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    const char* given = std::getenv("DEFORMER_SENTENCE_PIECE_DATA");
    trained_ = given == nullptr ? "" : given;
  }
  ~SentencePieceCases() override { fs::remove_all(folder_); }

  void SetUp() override {
    ASSERT_TRUE(fs::exists(trained_ / "spiece.model"))
        << "expected DEFORMER_SENTENCE_PIECE_DATA to name a folder that "
           "tests/tools/make_sentence_piece_data.py has filled; run this through ctest";
  }

  void write(const char* name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  void use_model() const {
    fs::copy_file(trained_ / "spiece.model", folder_ / "spiece.model",
                  fs::copy_options::overwrite_existing);
  }

  fs::path folder_;
  fs::path trained_;
};

TEST_F(SentencePieceCases, GiveTheIdsOfThePythonPackage) {
  use_model();
  const auto cases = nlohmann::json::parse(std::ifstream(trained_ / "cases.json"));
  std::size_t compared = 0;
  for (const auto& set : cases["sets"]) {
    write("tokenizer_config.json", set["config"].dump());
    const SentencePieceTokenizer tokenizer(folder_);
    for (std::size_t i = 0; i < cases["texts"].size(); ++i) {
      EXPECT_EQ(tokenizer.encode(cases["texts"][i].get<std::string>()),
                set["ids"][i].get<std::vector<std::int32_t>>())
          << set["config"] << " " << cases["texts"][i];
      ++compared;
    }
  }
  EXPECT_GT(compared, 100U);
}

TEST_F(SentencePieceCases, TextOfSeveralPartsIsItsPartsOneAfterTheOther) {
  use_model();
  const SentencePieceTokenizer tokenizer(folder_);
  const std::string line = "The 1,000 licences of Version 3, 29 June 2007 apply.\n";
  const auto ids = tokenizer.encode(line);
  std::string text;
  std::vector<std::int32_t> expected;
  while (text.size() < std::size_t{5} << 19) {  // two and a half parts
    text += line;
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer.encode(text), expected);
}

TEST_F(SentencePieceCases, ClsEndsThePair) {
  use_model();
  const auto tokenizer = open_tokenizer(folder_, Family::xlnet);
  const TextFrame passage = tokenizer->frame(true);
  const TextFrame question = tokenizer->frame(false);
  EXPECT_TRUE(passage.before.empty());
  EXPECT_EQ(passage.after.size(), 1U);
  EXPECT_EQ(question.after.size(), 2U);
  EXPECT_EQ(question.after.front(), passage.after.front());
  EXPECT_NE(question.after.back(), passage.after.front());
}

TEST_F(SentencePieceCases, BadModelsAreRefusedByName) {
  const auto open = [this] { SentencePieceTokenizer{folder_}; };
  EXPECT_THAT(open, ThrowsMessage<BadInput>(HasSubstr("spiece.model")));
  write("spiece.model", "not a model at all");
  EXPECT_THAT(open, ThrowsMessage<BadInput>(HasSubstr("expected a SentencePiece model")));
  use_model();
  write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  EXPECT_THAT(open, ThrowsMessage<BadInput>(HasSubstr("do_lower_case")));
}

}  // namespace
}  // namespace deformer
