/// The order in which weights are fetched: everything once, early enough, page after page.

#include "backends/cpu/weight_stream.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace deformer {
namespace {

constexpr std::int64_t kPages = 24;
constexpr std::int64_t kLines = kPages * WeightStream::kPageLines;

/// Two products' weights, read one after the other.
class WeightStreamTest : public testing::Test {
 protected:
  /// Line of both products, counted through.
  std::int64_t line_of(const float* address) const {
    const bool second = address >= second_.data() && address < second_.data() + second_.size();
    const float* begin = second ? second_.data() : first_.data();
    EXPECT_EQ((address - begin) % WeightStream::kLineFloats, 0);
    return (address - begin) / WeightStream::kLineFloats + (second ? kLines : 0);
  }

  std::vector<float> first_ = std::vector<float>(kPages * WeightStream::kPageFloats);
  std::vector<float> second_ = std::vector<float>(2 * kPages * WeightStream::kPageFloats);
  WeightStream stream_{first_.data(), kPages, second_.data()};
};

TEST_F(WeightStreamTest, EachLineComesOnceAndBeforeItIsRead) {
  std::map<std::int64_t, std::int64_t> read_when;
  for (std::int64_t read = 0; read < kLines; ++read) {
    const auto [_, is_new] = read_when.emplace(line_of(stream_.fetched(read)), read);
    EXPECT_TRUE(is_new) << read;
  }
  const WeightStream next{second_.data(), 2 * kPages, second_.data()};
  for (std::int64_t read = 0; read < kLines; ++read) {
    const auto [_, is_new] = read_when.emplace(line_of(next.fetched(read)), kLines + read);
    EXPECT_TRUE(is_new) << read << " of the second";
  }
  constexpr std::int64_t kUnknown = WeightStream::kAhead + WeightStream::kPages;
  for (std::int64_t line = kUnknown * WeightStream::kPageLines; line < 2 * kLines; ++line) {
    ASSERT_TRUE(read_when.contains(line)) << line;
    EXPECT_GE(line - read_when[line], WeightStream::kAhead * WeightStream::kPageLines) << line;
  }
}

TEST_F(WeightStreamTest, PagesBeginOneAfterTheOther) {
  std::vector<std::int64_t> begun;
  for (std::int64_t read = 0; read < kLines; ++read) {
    if (line_of(stream_.fetched(read)) % WeightStream::kPageLines == 0) begun.push_back(read);
  }
  ASSERT_GT(begun.size(), 2U);
  for (std::size_t i = 1; i < begun.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(begun[i] - begun[i - 1]), WeightStream::kPageLines, 8);
  }
}

}  // namespace
}  // namespace deformer
