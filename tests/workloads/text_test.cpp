#include "workloads/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "model/error.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::ThrowsMessage;

constexpr std::int32_t kCls = 1;
constexpr std::int32_t kSep = 2;
constexpr std::int32_t kFirstLetter = 3;

// A vocabulary of single letters, so that the text "abc" of blanks between is the ids 3 4 5.
class Text : public testing::Test {
 protected:
  Text()
      : folder_(fs::path(testing::TempDir()) /
                (std::string("text-") +
                 testing::UnitTest::GetInstance()->current_test_info()->name() + "-" +
                 std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::string vocab = "[UNK]\n[CLS]\n[SEP]\n";
    for (char c = 'a'; c <= 'z'; ++c) vocab += std::string(1, c) + "\n";
    write("vocab.txt", vocab);
    write("questions", "x y z\n");
  }
  ~Text() override { fs::remove_all(folder_); }

  fs::path write(const char* name, std::string_view content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  // The first `letters` of the alphabet, over again where there are more.
  void write_text(int letters) const {
    std::string text;
    for (int i = 0; i < letters; ++i) text += std::string(1, static_cast<char>('a' + i % 26)) + " ";
    write("text", text);
  }
  TextTokens cut(std::int64_t question_tokens, std::int64_t passage_tokens, std::int64_t wanted,
                 Order order = Order::question_first) const {
    return cut_text(WordPieceTokenizer::open(folder_), folder_ / "text", folder_ / "questions",
                    question_tokens, passage_tokens, wanted, order);
  }
  // Where each window begins, in a text of at most 26 letters.
  static std::vector<int> offsets(const TextTokens& tokens) {
    std::vector<int> found;
    for (const Ids& window : tokens.passages) found.push_back(window.front() - kFirstLetter);
    return found;
  }

  fs::path folder_;
};

TEST_F(Text, GivesClsToTheFirstTextOfAPairOnly) {
  write_text(3);
  const TextTokens question_first = cut(5, 4, 1);
  EXPECT_THAT(question_first.questions, ElementsAre(ElementsAre(kCls, 26, 27, 28, kSep)));
  EXPECT_THAT(question_first.passages, ElementsAre(ElementsAre(3, 4, 5, kSep)));
  const TextTokens passage_first = cut(5, 4, 1, Order::passage_first);
  EXPECT_THAT(passage_first.questions, ElementsAre(ElementsAre(26, 27, 28, kSep)));
  EXPECT_THAT(passage_first.passages, ElementsAre(ElementsAre(kCls, 3, 4, kSep)));
}

TEST_F(Text, CutsSideBySideBeforeItOverlaps) {
  write_text(14);
  EXPECT_THAT(offsets(cut(5, 5, 3)), ElementsAre(0, 4, 8));
  EXPECT_THAT(offsets(cut(5, 5, 5)), ElementsAre(0, 4, 8, 2, 6));
  EXPECT_THAT(offsets(cut(5, 5, 9)), ElementsAre(0, 4, 8, 2, 6, 10, 1, 5, 9));
}

TEST_F(Text, GivesEveryOffsetOnceAndNoMore) {
  for (int letters = 1; letters <= 26; ++letters) {
    write_text(letters);
    for (int window = 1; window <= letters; ++window) {
      const TextTokens tokens = cut(5, window + 1, 1000);
      const std::vector<int> found = offsets(tokens);
      ASSERT_EQ(found.size(), static_cast<std::size_t>(letters - window + 1));
      EXPECT_EQ(std::set<int>(found.begin(), found.end()).size(), found.size());
      EXPECT_THAT(tokens.passages, Each(SizeIs(static_cast<std::size_t>(window + 1))));
    }
  }
}

TEST_F(Text, GivesNoWindowWhereNoneIsWanted) {
  write_text(5);
  EXPECT_THAT(cut(5, 4, 0).passages, SizeIs(0));
}

TEST_F(Text, CutsLongQuestionsAndKeepsTheirSeparator) {
  write_text(5);
  write("questions", "a b c d e f\r\n\n   \n\xff\na\nb c");
  EXPECT_THAT(cut(4, 4, 1).questions,
              ElementsAre(ElementsAre(kCls, 3, 4, kSep), ElementsAre(kCls, 3, kSep),
                          ElementsAre(kCls, 4, 5, kSep)));
  EXPECT_THAT(
      cut(4, 4, 1, Order::passage_first).questions,
      ElementsAre(ElementsAre(3, 4, 5, kSep), ElementsAre(3, kSep), ElementsAre(4, 5, kSep)));
}

TEST_F(Text, RefusesLengthsWithoutRoomForAToken) {
  write_text(5);
  EXPECT_THAT([&] { cut(2, 4, 1); }, ThrowsMessage<BadInput>(HasSubstr("--question 2")));
  EXPECT_THAT([&] { cut(3, 1, 1); }, ThrowsMessage<BadInput>(HasSubstr("--passage 1")));
  EXPECT_THAT([&] { cut(1, 4, 1, Order::passage_first); },
              ThrowsMessage<BadInput>(HasSubstr("--question 1")));
  EXPECT_THAT([&] { cut(2, 2, 1, Order::passage_first); },
              ThrowsMessage<BadInput>(HasSubstr("--passage 2")));
  EXPECT_THAT([&] { cut(-5, 4, 1); }, ThrowsMessage<BadInput>(HasSubstr("--question -5")));
  EXPECT_NO_THROW(cut(3, 2, 1));
}

TEST_F(Text, RefusesATextShorterThanOneWindow) {
  write_text(5);
  EXPECT_NO_THROW(cut(5, 6, 1));
  EXPECT_THAT([&] { cut(5, 7, 1); }, ThrowsMessage<BadInput>(testing::AllOf(HasSubstr("at least 6"),
                                                                            HasSubstr("found 5"))));
}

TEST_F(Text, RefusesFilesThatAreMissingEmptyFoldersOrWithoutAQuestion) {
  write_text(5);
  const WordPieceTokenizer tokenizer = WordPieceTokenizer::open(folder_);
  const auto empty = write("empty", "");
  const auto blank = write("blank", "\n \n\t\n");
  const auto cut_files = [&](const fs::path& text, const fs::path& questions) {
    return [&, text, questions] {
      cut_text(tokenizer, text, questions, 5, 4, 1, Order::question_first);
    };
  };
  for (const fs::path& bad : {folder_ / "missing", folder_, empty, fs::path("/dev/zero")}) {
    const auto names_it = ThrowsMessage<BadInput>(HasSubstr(bad.string()));
    EXPECT_THAT(cut_files(bad, folder_ / "questions"), names_it);
    EXPECT_THAT(cut_files(folder_ / "text", bad), names_it);
    EXPECT_THROW(text_fingerprint(bad, folder_ / "questions"), BadInput);
  }
  EXPECT_THAT(cut_files(folder_ / "text", blank), ThrowsMessage<BadInput>(HasSubstr("blank")));
}

TEST_F(Text, FingerprintFollowsTheContentAndNotThePath) {
  const auto one = write("one", "alpha beta");
  const auto same = write("same", "alpha beta");
  const auto two = write("two", "gamma");
  const std::string print = text_fingerprint(one, two);
  EXPECT_THAT(print, testing::MatchesRegex("[0-9a-f]{8}"));
  EXPECT_EQ(print, text_fingerprint(same, two));
  EXPECT_NE(print, text_fingerprint(two, one));
  EXPECT_NE(text_fingerprint(write("p", "ab"), write("q", "c")),
            text_fingerprint(write("p", "a"), write("q", "bc")));
  // sha256(sha256("alpha beta") + sha256("gamma")), by sha256sum: kept, since records hold it
  EXPECT_EQ(print, "3121ed41");
}

TEST_F(Text, LongTextTakesTimeLinearInItsLength) {
  // 60 MB, a third of it one word without a blank: seconds when linear, days when quadratic.
  std::string text;
  while (text.size() < (20U << 20)) text += "a b c d e f g. ";
  text += std::string(20U << 20, 'x') + " ";
  while (text.size() < (60U << 20)) text += "é ü\n";
  write("text", text);
  const TextTokens tokens = cut(5, 101, 10);
  EXPECT_THAT(tokens.passages, SizeIs(10));
}

}  // namespace
}  // namespace deformer
