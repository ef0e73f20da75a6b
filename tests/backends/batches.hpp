#pragma once
/// What the CPU backend's tests run: small models, ragged batches, and both backends beside each
/// other.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "backends/cpu/cpu.hpp"
#include "backends/reference/reference.hpp"
#include "cache/codec.hpp"

namespace deformer {

/// Between the CPU's f32 and the reference's f64.
inline constexpr double kTolerance = 2e-4;
/// Between two shapes of the CPU's own: only the order of additions differs.
inline constexpr double kSameTolerance = 1e-5;

inline ModelConfig odd_config(std::int64_t d, std::int64_t heads, std::int64_t d_ff,
                              std::int64_t layers = 2) {
  ModelConfig config = *builtin_model("bert-tiny");
  config.name = "odd";
  config.layers = layers;
  config.d_model = d;
  config.heads = heads;
  config.d_ff = d_ff;
  config.vocab_size = 97;
  return config;
}

inline std::vector<std::int32_t> some_ids(const std::vector<std::int64_t>& tokens,
                                          std::int32_t seed) {
  const auto count = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = (static_cast<std::int32_t>(i) * 31 + seed) % 97;
  }
  return ids;
}

struct Batch {
  explicit Batch(Shape given)
      : shape(std::move(given)),
        questions(some_ids(shape.question_tokens, 5)),
        passages(some_ids(shape.passage_tokens, 11)) {}

  Inputs inputs() const { return {questions, passages, {}}; }

  Shape shape;
  std::vector<std::int32_t> questions, passages;
};

/// 2 items of r = 2 questions x c = 3 passages, all of different lengths.
inline Shape ragged_shape() {
  Shape shape;
  shape.batch = 2;
  shape.questions_per_item = 2;
  shape.passages_per_item = 3;
  shape.question_tokens = {3, 1, 26, 2};
  shape.passage_tokens = {5, 49, 1, 34, 7, 8};
  return shape;
}

/// A batch's pair alone, with the ids it has in the batch.
inline Batch single(const Batch& batch, std::int64_t pair) {
  const auto text = [](const std::vector<std::int32_t>& ids,
                       const std::vector<std::int64_t>& offsets, std::int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    return std::vector<std::int32_t>(ids.begin() + offsets[i], ids.begin() + offsets[i + 1]);
  };
  Batch one(pair_shape(batch.shape, pair));
  one.questions = text(batch.questions, cumulative_tokens(batch.shape, Segment::question),
                       batch.shape.question_of_pair(pair));
  one.passages = text(batch.passages, cumulative_tokens(batch.shape, Segment::passage),
                      batch.shape.passage_of_pair(pair));
  return one;
}

/// The encoded passages of a batch, as a pool would hold them.
struct Cached {
  std::vector<std::byte> bytes;
  std::vector<const std::byte*> passages;
};

inline Cached encode_passages(Model& model, const Batch& batch, std::int64_t split, Order order,
                              const SessionOptions& options) {
  const Plan plan = make_prefill_plan(model.config(), split, order);
  const auto session = model.prepare(plan, batch.shape, options);
  session->run(batch.inputs());
  const std::int64_t d = model.config().d_model;
  const auto offsets = cumulative_tokens(batch.shape, Segment::passage);
  Cached cached;
  cached.bytes.resize(
      static_cast<std::size_t>(encoded_bytes(options.cache_dtype, offsets.back(), d)));
  encode_rows(options.cache_dtype, session->output(), d, cached.bytes);
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    cached.passages.push_back(cached.bytes.data() +
                              encoded_bytes(options.cache_dtype, offsets[i], d));
  }
  return cached;
}

struct Result {
  std::vector<float> rows;
  std::vector<float> head;
};

inline Result run(Model& model, Variant variant, std::int64_t split, Order order,
                  const Batch& batch, const SessionOptions& options = {}) {
  Inputs inputs = batch.inputs();
  Cached cached;
  if (variant == Variant::cached) {
    cached = encode_passages(model, batch, split, order, options);
    inputs.passage_ids = {};
    inputs.cached_passages = cached.passages;
  }
  const Plan plan = make_plan(model.config(), variant, split, order);
  const auto session = model.prepare(plan, batch.shape, options);
  session->run(inputs);
  const auto rows = session->output();
  const auto head = session->head_output();
  return {{rows.begin(), rows.end()}, {head.begin(), head.end()}};
}

inline double max_abs(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double distance = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = std::max(worst, std::isfinite(distance) ? distance : INFINITY);
  }
  return worst;
}

/// One set of weights on both backends.
struct Both {
  explicit Both(const ModelConfig& config, std::int64_t positions = 512)
      : weights(random_weights(config, 7)),
        cpu(make_cpu_backend()->load(*weights, {.positions = positions})),
        reference(make_reference_backend()->load(*weights, {.positions = positions})) {}

  void expect_parity(Variant variant, std::int64_t split, Order order, const Batch& batch,
                     const SessionOptions& options = {}) const {
    const Result found = run(*cpu, variant, split, order, batch, options);
    const Result expected = run(*reference, variant, split, order, batch, options);
    ASSERT_FALSE(expected.rows.empty());
    EXPECT_LE(max_abs(found.rows, expected.rows), kTolerance)
        << to_string(variant) << " split " << split << " " << to_string(order);
    EXPECT_LE(max_abs(found.head, expected.head), kTolerance);
  }

  std::unique_ptr<WeightSource> weights;
  std::unique_ptr<Model> cpu;
  std::unique_ptr<Model> reference;
};

inline constexpr Order kOrders[] = {Order::question_first, Order::passage_first};
inline constexpr Variant kVariants[] = {Variant::full, Variant::decomposed, Variant::cached};

inline void expect_parity_everywhere(const ModelConfig& config, const Batch& batch) {
  const Both both(config);
  for (const Order order : kOrders) {
    both.expect_parity(Variant::full, 0, order, batch);
    for (std::int64_t split = 0; split <= config.layers; ++split) {
      both.expect_parity(Variant::decomposed, split, order, batch);
      both.expect_parity(Variant::cached, split, order, batch);
    }
  }
}

}  // namespace deformer
