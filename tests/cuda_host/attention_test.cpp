/// The attention kernel alone, on scores that matter: in a small random model a wrong context hides
/// behind its residual.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "tests/cuda_host/host_launcher.hpp"
#include "tests/cuda_host/noise.hpp"

namespace deformer::cuda {
namespace {

/// Operands as they are stored, and what they stand for.
struct Stored {
  Stored(Element element, std::size_t count, float deviation, unsigned seed)
      : bytes(encode(element, noise(count, deviation, seed))),
        values(decode(element, bytes.data(), static_cast<std::int64_t>(count))) {}
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

/// A sequence; which of its tokens is the second segment's first matters to relative terms.
struct Text {
  std::int32_t tokens;
  std::int32_t first_text;
};

struct Setting {
  Element element;
  std::int64_t heads;
  std::int64_t d_head;
  bool relative;
  AttentionForm form = AttentionForm::tall;
  std::vector<Text> texts = {{130, 40}, {1, 1}, {63, 62}};
};

class Trial {
 public:
  explicit Trial(const Setting& setting)
      : setting_(setting),
        firsts_(firsts(setting.texts)),
        d_(setting.heads * setting.d_head),
        qkv_(setting.element, size(rows() * 3 * d_), 0.5F, 1),
        keys_(setting.element, size(setting.heads * kDistances * setting.d_head), 0.5F, 2),
        key_bias_(noise(size(setting.heads * kDistances), 1.0F, 3)),
        segments_(noise(size(d_), 0.5F, 4)),
        segment_bias_(noise(size(setting.heads), 1.0F, 5)) {}

  double largest_error() {
    const std::vector<float> context = run();
    double most = 0;
    for (std::size_t text = 0; text < setting_.texts.size(); ++text) {
      for (std::int64_t head = 0; head < setting_.heads; ++head) {
        for (std::int64_t query = 0; query < tokens(text); ++query) {
          most = std::max(most, row_error(context, text, head, query));
        }
      }
    }
    return most;
  }

 private:
  static constexpr std::int64_t kReach = 140;
  static constexpr std::int64_t kDistances = 2 * kReach + 1;

  /// First row of each text, and the number of rows.
  static std::vector<std::int32_t> firsts(const std::vector<Text>& texts) {
    std::vector<std::int32_t> firsts{0};
    for (const Text& text : texts) {
      firsts.push_back(firsts.back() + text.tokens);
    }
    return firsts;
  }
  std::int64_t rows() const { return firsts_.back(); }
  std::int32_t tokens(std::size_t text) const { return setting_.texts[text].tokens; }

  static std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

  std::vector<float> run() {
    std::array<std::vector<QueryBlock>, kBlockTables> blocks;
    for (std::size_t table = 0; table < blocks.size(); ++table) {
      for (std::size_t text = 0; text < setting_.texts.size(); ++text) {
        for (std::int32_t query = 0; query < tokens(text); query += kBlockQueries[table]) {
          blocks[table].push_back(
              {firsts_[text], tokens(text), setting_.texts[text].first_text, query});
        }
      }
    }
    std::vector<std::byte> context(size(rows() * d_ * bytes_of(setting_.element)));
    AttentionArgs args{};
    args.element = setting_.element;
    args.heads = setting_.heads;
    args.d_head = setting_.d_head;
    args.qkv = qkv_.bytes.data();
    args.context = context.data();
    for (std::size_t table = 0; table < blocks.size(); ++table) {
      args.blocks[table] = {blocks[table].data(), static_cast<std::int64_t>(blocks[table].size())};
    }
    args.longest = std::ranges::max(setting_.texts, {}, &Text::tokens).tokens;
    args.form = setting_.form;
    if (setting_.relative) {
      args.relative = {kReach, keys_.bytes.data(), key_bias_.data(), segments_.data(),
                       segment_bias_.data()};
    }
    HostLauncher().launch(args, Branch::main);
    return decode(setting_.element, context.data(), rows() * d_);
  }

  double dot(const float* a, const float* b) const {
    double sum = 0;
    for (std::int64_t i = 0; i < setting_.d_head; ++i) {
      sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    }
    return sum;
  }
  const float* part(std::int64_t what, std::int64_t row, std::int64_t head) const {
    return qkv_.values.data() + (row * 3 + what) * d_ + head * setting_.d_head;
  }

  double score(std::size_t text, std::int64_t head, std::int64_t query, std::int64_t key) const {
    const float* q = part(0, firsts_[text] + query, head);
    double sum = dot(q, part(1, firsts_[text] + key, head));
    if (setting_.relative) {
      const std::int64_t at = head * kDistances + kReach - (query - key);
      sum += dot(q, keys_.values.data() + at * setting_.d_head) +
             static_cast<double>(key_bias_[size(at)]);
      if ((query < setting_.texts[text].first_text) != (key < setting_.texts[text].first_text)) {
        sum += dot(q, segments_.data() + head * setting_.d_head) +
               static_cast<double>(segment_bias_[size(head)]);
      }
    }
    return sum;
  }

  double row_error(const std::vector<float>& context, std::size_t text, std::int64_t head,
                   std::int64_t query) const {
    std::vector<double> expected(size(setting_.d_head));
    double total = 0;
    for (std::int64_t key = 0; key < tokens(text); ++key) {
      const double weight = std::exp(score(text, head, query, key));
      total += weight;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += weight * static_cast<double>(part(2, firsts_[text] + key, head)[i]);
      }
    }
    double most = 0;
    const float* found = context.data() + (firsts_[text] + query) * d_ + head * setting_.d_head;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double error = std::abs(static_cast<double>(found[i]) - expected[i] / total);
      most = std::max(most, std::isnan(error) ? INFINITY : error);  // max would pass NaN over
    }
    return most;
  }

  Setting setting_;
  std::vector<std::int32_t> firsts_;
  std::int64_t d_;
  Stored qkv_;
  Stored keys_;
  std::vector<float> key_bias_, segments_, segment_bias_;
};

TEST(AttentionKernel, IsTheSoftmaxOfItsScoresInEveryElement) {
  for (const bool relative : {false, true}) {
    for (const std::int64_t d_head : {20, 64, 128}) {
      SCOPED_TRACE(testing::Message() << d_head << (relative ? " relative" : ""));
      EXPECT_LE(Trial({Element::f32, 2, d_head, relative}).largest_error(), 2e-5);
      EXPECT_LE(Trial({Element::f16, 2, d_head, relative}).largest_error(), 2e-3);
      EXPECT_LE(Trial({Element::bf16, 2, d_head, relative}).largest_error(), 1.5e-2);
    }
  }
}

/// Of as many keys as need a place that others were in; and so few that warps have none.
TEST(AttentionKernel, PassesAnyNumberOfKeysThroughItsTiles) {
  for (const AttentionForm form : kAttentionForms) {
    for (const std::vector<Text>& texts : {std::vector<Text>{{27, 0}},
                                           {{16, 0}, {17, 0}},
                                           {{64, 0}, {128, 0}},
                                           {{257, 0}},
                                           {{320, 0}},
                                           {{384, 0}},
                                           {{401, 0}}}) {
      SCOPED_TRACE(testing::Message() << texts.back().tokens << " form " << static_cast<int>(form));
      EXPECT_LE(Trial({Element::f16, 1, 64, false, form, texts}).largest_error(), 2e-3);
      EXPECT_LE(Trial({Element::f16, 1, 20, false, form, texts}).largest_error(), 2e-3);
    }
  }
}

/// f(sharing of warps) for that of each form of heads of 64.
template <class F>
void each_sharing(const F& f) {
  for (const AttentionForm form : kAttentionForms) {
    SCOPED_TRACE(testing::Message() << "form " << static_cast<int>(form));
    with_form<F16, 64>(form, [&](auto kind) { f(typename decltype(kind)::Shared{}); });
  }
}

TEST(WarpSharing, GivesEveryQueryEveryKeyOfATileOnce) {
  each_sharing([](auto sharing) {
    using Sharing = decltype(sharing);
    std::vector<int> pairs(std::size_t{Sharing::kQueries} * Sharing::kKeys);
    for (int thread = 0; thread < Sharing::kThreads; thread += 32) {  // row g, columns 2t..: once
      for (int tile = 0; tile < Sharing::kRowTiles; ++tile) {
        for (int group = 0; group < Sharing::kGroups; ++group) {
          for (int i = 0; i < 16 * 16; ++i) {
            const int row = Sharing::row_of(thread, tile) + i / 16;
            const int key = Sharing::key_of(thread, group) + i % 16;
            ASSERT_TRUE(row < Sharing::kQueries && key < Sharing::kKeys) << row << " " << key;
            ++pairs[static_cast<std::size_t>(row * Sharing::kKeys + key)];
          }
        }
      }
    }
    EXPECT_EQ(pairs, std::vector<int>(pairs.size(), 1));
  });
}

/// What comes in tiles and what warps have summed lie in the same memory.
TEST(TiledShape, HasRoomForTilesAndSumsOfAnyLength) {
  each_sharing([](auto sharing) {
    using Sharing = decltype(sharing);
    using Shape = TiledShape<64, Sharing>;
    for (const std::int64_t longest : {1, 128, 129, 384}) {
      const std::int64_t stages = longest > Sharing::kKeys ? Shape::kStages : 1;
      EXPECT_GE(Shape::bytes(longest), Shape::kTileAt + stages * Shape::kStageBytes) << longest;
      EXPECT_GE(Shape::bytes(longest), Shape::kTileAt + Shape::kPartBytes) << longest;
    }
  });
}

TEST(AttentionKernel, IsTheSameHoweverItsWarpsShareTheWork) {
  for (const AttentionForm form : kAttentionForms) {
    for (const std::int64_t d_head : {4, 20, 32, 40, 64, 72, 128}) {
      SCOPED_TRACE(testing::Message() << d_head << " form " << static_cast<int>(form));
      EXPECT_LE(Trial({Element::f16, 3, d_head, false, form}).largest_error(), 2e-3);
      EXPECT_LE(Trial({Element::bf16, 3, d_head, false, form}).largest_error(), 1.5e-2);
    }
  }
}

}  // namespace
}  // namespace deformer::cuda
