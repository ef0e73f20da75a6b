/// The attention kernel alone, on scores that matter: in a small random model a wrong context hides
/// behind its residual.

#include <gtest/gtest.h>

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

struct Setting {
  Element element;
  std::int64_t heads;
  std::int64_t d_head;
  bool relative;
  AttentionForm form = AttentionForm::tall;
};

class Trial {
 public:
  explicit Trial(const Setting& setting)
      : setting_(setting),
        d_(setting.heads * setting.d_head),
        qkv_(setting.element, size(kRows * 3 * d_), 0.5F, 1),
        keys_(setting.element, size(setting.heads * kDistances * setting.d_head), 0.5F, 2),
        key_bias_(noise(size(setting.heads * kDistances), 1.0F, 3)),
        segments_(noise(size(d_), 0.5F, 4)),
        segment_bias_(noise(size(setting.heads), 1.0F, 5)) {}

  double largest_error() {
    const std::vector<float> context = run();
    double most = 0;
    for (std::size_t text = 0; text < kTokens.size(); ++text) {
      for (std::int64_t head = 0; head < setting_.heads; ++head) {
        for (std::int64_t query = 0; query < kTokens[text]; ++query) {
          most = std::max(most, row_error(context, text, head, query));
        }
      }
    }
    return most;
  }

 private:
  static constexpr std::array<std::int32_t, 3> kTokens{130, 1, 63};
  static constexpr std::array<std::int32_t, 3> kFirst{0, 130, 131};
  static constexpr std::array<std::int32_t, 3> kFirstText{40, 1, 62};
  static constexpr std::int64_t kRows = 194;
  static constexpr std::int64_t kReach = 140;
  static constexpr std::int64_t kDistances = 2 * kReach + 1;

  static std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

  std::vector<float> run() {
    std::array<std::vector<QueryBlock>, kBlockTables> blocks;
    for (std::size_t table = 0; table < blocks.size(); ++table) {
      for (std::size_t text = 0; text < kTokens.size(); ++text) {
        for (std::int32_t query = 0; query < kTokens[text]; query += kBlockQueries[table]) {
          blocks[table].push_back({kFirst[text], kTokens[text], kFirstText[text], query});
        }
      }
    }
    std::vector<std::byte> context(size(kRows * d_ * bytes_of(setting_.element)));
    AttentionArgs args{};
    args.element = setting_.element;
    args.heads = setting_.heads;
    args.d_head = setting_.d_head;
    args.qkv = qkv_.bytes.data();
    args.context = context.data();
    for (std::size_t table = 0; table < blocks.size(); ++table) {
      args.blocks[table] = {blocks[table].data(), static_cast<std::int64_t>(blocks[table].size())};
    }
    args.longest = std::ranges::max(kTokens);
    args.form = setting_.form;
    if (setting_.relative) {
      args.relative = {kReach, keys_.bytes.data(), key_bias_.data(), segments_.data(),
                       segment_bias_.data()};
    }
    HostLauncher().launch(args, Branch::main);
    return decode(setting_.element, context.data(), kRows * d_);
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
    const float* q = part(0, kFirst[text] + query, head);
    double sum = dot(q, part(1, kFirst[text] + key, head));
    if (setting_.relative) {
      const std::int64_t at = head * kDistances + kReach - (query - key);
      sum += dot(q, keys_.values.data() + at * setting_.d_head) +
             static_cast<double>(key_bias_[size(at)]);
      if ((query < kFirstText[text]) != (key < kFirstText[text])) {
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
    for (std::int64_t key = 0; key < kTokens[text]; ++key) {
      const double weight = std::exp(score(text, head, query, key));
      total += weight;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += weight * static_cast<double>(part(2, kFirst[text] + key, head)[i]);
      }
    }
    double most = 0;
    const float* found = context.data() + (kFirst[text] + query) * d_ + head * setting_.d_head;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(found[i]) - expected[i] / total));
    }
    return most;
  }

  Setting setting_;
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

TEST(AttentionKernel, IsTheSameHoweverItsWarpsShareTheWork) {
  for (const AttentionForm form : {AttentionForm::tall, AttentionForm::split}) {
    for (const std::int64_t d_head : {4, 20, 32, 40, 64, 72, 128}) {
      SCOPED_TRACE(testing::Message() << d_head << (form == AttentionForm::tall ? "" : " split"));
      EXPECT_LE(Trial({Element::f16, 3, d_head, false, form}).largest_error(), 2e-3);
      EXPECT_LE(Trial({Element::bf16, 3, d_head, false, form}).largest_error(), 1.5e-2);
    }
  }
}

}  // namespace
}  // namespace deformer::cuda
