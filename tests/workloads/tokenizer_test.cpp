#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "model/error.hpp"
#include "workloads/text.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

// A model's folder that is gone after the test.
class TokenizerFolder : public testing::Test {
 protected:
  TokenizerFolder()
      : folder_(fs::path(testing::TempDir()) /
                (std::string("tokenizer-") +
                 testing::UnitTest::GetInstance()->current_test_info()->name() + "-" +
                 std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~TokenizerFolder() override { fs::remove_all(folder_); }

  void write(const char* name, std::string_view content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  WordPieceTokenizer open() const { return WordPieceTokenizer::open(folder_); }
  std::vector<std::int32_t> encode(std::string_view text) const { return open().encode(text); }

  fs::path folder_;
};

constexpr const char* kSmallVocab =
    "[UNK]\n[CLS]\n[SEP]\nab\n##c\nabc\n##cd\né\ne\nE\n中\n##中\n[\n]\nsep\n";

class Tokenizer : public TokenizerFolder {
 protected:
  Tokenizer() { write("vocab.txt", kSmallVocab); }
};

// The ids that Hugging Face tokenizers gives. Another folder of cases (fuzz_tokenizer.py makes
// them) can stand in for the committed one.
class TokenizerCases : public TokenizerFolder {};

TEST_F(TokenizerCases, EqualHuggingFaceTokenizers) {
  const char* other = std::getenv("DEFORMER_TOKENIZER_CASES");
  const fs::path data =
      other != nullptr ? fs::path(other) : fs::path(DEFORMER_TEST_DATA) / "tokenizer";
  std::ifstream in(data / "cases.json");
  const nlohmann::json cases = nlohmann::json::parse(in);
  ASSERT_GE(cases["sets"].size(), 2U);
  std::size_t compared = 0;
  std::size_t different = 0;
  for (const nlohmann::json& set : cases["sets"]) {
    fs::copy_file(data / set["vocab"].get<std::string>(), folder_ / "vocab.txt",
                  fs::copy_options::overwrite_existing);
    write("tokenizer_config.json", set["config"].dump());
    const WordPieceTokenizer tokenizer = open();
    ASSERT_EQ(set["ids"].size(), cases["texts"].size());
    for (std::size_t i = 0; i < cases["texts"].size(); ++i, ++compared) {
      const auto ids = tokenizer.encode(cases["texts"][i].get_ref<const std::string&>());
      if (ids == set["ids"][i].get<std::vector<std::int32_t>>()) continue;
      if (++different > 10) continue;
      ADD_FAILURE() << cases["texts"][i].dump(-1, ' ', true) << " with " << set["config"]
                    << "\nexpected " << set["ids"][i] << "\nfound    " << nlohmann::json(ids);
    }
  }
  EXPECT_EQ(different, 0U) << "of " << compared;
  RecordProperty("compared", std::to_string(compared));
}

TEST_F(Tokenizer, TakesTheLongestPieceFirstAndGivesUpTheWholeWord) {
  EXPECT_THAT(encode("abc abcc abccd"), ElementsAre(5, 5, 4, 5, 6));
  EXPECT_THAT(encode("abcx ab"), ElementsAre(0, 3));
  EXPECT_THAT(encode("c"), ElementsAre(0));  // "##c" goes on, it does not begin
}

TEST_F(Tokenizer, LowersAndStripsAccentsUnlessToldOtherwise) {
  EXPECT_THAT(encode("É E e"), ElementsAre(8, 8, 8));
  write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_THAT(encode("é E e"), ElementsAre(7, 9, 8)) << "accents follow case";
  write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
  EXPECT_THAT(encode("é E e"), ElementsAre(7, 9, 8));
  write("tokenizer_config.json", R"({"strip_accents": false})");
  EXPECT_THAT(encode("É E e"), ElementsAre(7, 8, 8));
  write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": true})");
  EXPECT_THAT(encode("É E e"), ElementsAre(9, 9, 8));
}

TEST_F(Tokenizer, SetsIdeographsApartUnlessToldOtherwise) {
  EXPECT_THAT(encode("ab中中"), ElementsAre(3, 10, 10));
  write("tokenizer_config.json", R"({"tokenize_chinese_chars": false})");
  EXPECT_THAT(encode("ab中中"), ElementsAre(3, 11, 11));
}

TEST_F(Tokenizer, SeesNoSpecialTokensInAText) {
  EXPECT_THAT(encode("[SEP]"), ElementsAre(12, 14, 13));
}

TEST_F(Tokenizer, DropsBytesThatAreNotUtf8) {
  EXPECT_THAT(encode("a\xff"
                     "b \xc3"),
              ElementsAre(3));
  EXPECT_THAT(encode("ab\xed\xa0\x80 \xf8\x88\x80\x80\x80 ab\xe4\xb8"), ElementsAre(3, 3));
  EXPECT_THAT(encode(std::string_view("a\0b", 3)), ElementsAre(3));
  EXPECT_THAT(encode("\xfe\xfe"), IsEmpty());
}

TEST_F(Tokenizer, SurvivesEveryPairOfBytes) {
  const WordPieceTokenizer tokenizer = open();
  std::string text;
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      text += static_cast<char>(first);
      text += static_cast<char>(second);
    }
  }
  EXPECT_GT(tokenizer.encode(text).size(), 256U);
}

TEST_F(Tokenizer, SortsRunsOfMarksInLessThanQuadraticTime) {
  // Two characters that NFD keeps and must put in order: combining classes 224 and 216. By
  // insertion this takes minutes.
  std::string marks;
  for (int i = 0; i < 200'000; ++i) marks += "\u302E";
  for (int i = 0; i < 200'000; ++i) marks += "\U0001D165";
  EXPECT_THAT(encode(marks), ElementsAre(0));
}

TEST_F(Tokenizer, ReadsVocabulariesWithCarriageReturnsAndWithoutAFinalNewline) {
  write("vocab.txt", "[UNK]\r\n[CLS]\r\n[SEP]\r\n\r\nab");
  EXPECT_THAT(encode("ab"), ElementsAre(4));
  EXPECT_EQ(open().vocab_size(), 5);
}

TEST_F(Tokenizer, CountsTheLastOfTwoEqualTokens) {
  write("vocab.txt", "[UNK]\n[CLS]\nab\n[SEP]\nab\n[CLS]\n");
  EXPECT_THAT(encode("ab"), ElementsAre(4));
  EXPECT_EQ(open().cls(), 5);
  EXPECT_EQ(open().sep(), 3);
  EXPECT_EQ(open().unk(), 0);
}

TEST_F(TokenizerFolder, RefusesAFolderWithoutVocabulary) {
  const auto opening = [&] { open(); };
  EXPECT_THAT(opening, ThrowsMessage<BadInput>(HasSubstr("--text needs vocab.txt")));
  fs::create_directory(folder_ / "vocab.txt");
  EXPECT_THAT(opening, ThrowsMessage<BadInput>(HasSubstr("vocab.txt")));
}

TEST_F(TokenizerFolder, RefusesVocabulariesThatLackASpecialToken) {
  for (const char* missing : {"[UNK]", "[CLS]", "[SEP]"}) {
    std::string vocab = "[UNK]\n[CLS]\n[SEP]\nab\n";
    vocab.erase(vocab.find(missing), 6);
    write("vocab.txt", vocab);
    EXPECT_THAT([&] { open(); }, ThrowsMessage<BadInput>(HasSubstr(missing)));
  }
  write("vocab.txt", "");
  EXPECT_THROW(open(), BadInput);
}

TEST_F(TokenizerFolder, RefusesAVocabularyOver64MegabytesUnread) {
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n");
  fs::resize_file(folder_ / "vocab.txt", (std::uintmax_t{64} << 20) + 1);  // sparse: takes no disk
  EXPECT_THAT([&] { open(); }, ThrowsMessage<BadInput>(HasSubstr("67108865")));
}

TEST_F(Tokenizer, RefusesConfigurationsOfTheWrongTypeNamingTheField) {
  for (const char* field : {"do_lower_case", "strip_accents", "tokenize_chinese_chars"}) {
    write("tokenizer_config.json", nlohmann::json{{field, "yes"}}.dump());
    EXPECT_THAT([&] { open(); }, ThrowsMessage<BadInput>(HasSubstr(field)));
  }
  for (const char* text : {"[]", "{", "", "true"}) {
    write("tokenizer_config.json", text);
    EXPECT_THAT([&] { open(); }, ThrowsMessage<BadInput>(HasSubstr("tokenizer_config.json")))
        << text;
  }
}

}  // namespace
}  // namespace deformer
