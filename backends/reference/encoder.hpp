#pragma once
/// An encoder (BERT, XLNet) in float64: embeddings, one layer at a time, join, head. What the
/// reference session and `reference_outputs` are both made of.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "backends/reference/relative_attention.hpp"
#include "model/config.hpp"
#include "model/plan.hpp"
#include "model/shape.hpp"
#include "model/weights.hpp"

namespace deformer::reference {

/// Hidden states of packed sequences: rows [tokens, d_model]; sequence i is rows
/// [offsets[i], offsets[i + 1]), of which the first `first_texts[i]` are its first text.
struct States {
  std::vector<double> rows;
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> first_texts;

  std::int64_t tokens() const { return offsets.empty() ? 0 : offsets.back(); }
};

/// A weight matrix [out, in] and its bias [out].
struct DenseWeights {
  std::vector<double> weight;
  std::vector<double> bias;
};

struct NormWeights {
  std::vector<double> weight;
  std::vector<double> bias;
};

/// One layer, widened. Query, key and value are one product, stacked in this order.
struct LayerWeights {
  DenseWeights qkv;
  RelativeWeights relative;  ///< XLNet only
  DenseWeights attention_out;
  NormWeights attention_norm;
  DenseWeights ffn1;
  DenseWeights ffn2;
  NormWeights ffn_norm;
};

/// Nanoseconds of a layer's operations, parallel to layer_operations: the feed-forward part runs
/// block by block, so an operation's time comes in pieces.
class OperationTimes {
 public:
  explicit OperationTimes(Family family);
  void clear();
  /// The operation of that name has taken the time since the last one was finished (or since
  /// clear).
  void finished(std::string_view operation);
  std::span<const std::int64_t> ns() const { return ns_; }

 private:
  std::span<const std::string_view> names_;
  std::vector<std::int64_t> ns_;
  std::int64_t last_ns_ = 0;
};

class Encoder {
 public:
  /// The weights must outlive the encoder.
  explicit Encoder(const WeightSource& weights) : weights_(weights), relative_(weights.config()) {}

  const ModelConfig& config() const { return weights_.config(); }

  /// BERT: rows of word, position and type embeddings of a segment's texts, normalised. Embedding
  /// the joint segment lets positions run on; the texts of the other two start at 0. XLNet: rows of
  /// word embeddings; positions and segments enter in every layer.
  States embed(Segment segment, Order order, const Shape& shape, const Inputs& inputs) const;

  LayerWeights read_layer(std::int64_t layer) const;

  /// One layer over every sequence, in place.
  void apply_layer(const LayerWeights& layer, States& states, OperationTimes* times = nullptr);

  /// The pairs' sequences, each the rows of its two texts in the plan's order.
  States join(Order order, const Shape& shape, const States& questions,
              const States& passages) const;

  /// Head outputs: span [tokens, 2]; classes [sequences, classes]; empty without a head.
  std::vector<double> head(const States& states) const;

  /// Bytes that `apply_layer` works in, and that one widened layer takes.
  std::int64_t scratch_bytes(std::int64_t tokens, std::int64_t longest_sequence) const;
  std::int64_t layer_bytes() const;

 private:
  DenseWeights read_dense(Role weight, Role bias, std::int64_t layer) const;
  NormWeights read_norm(Role weight, Role bias, std::int64_t layer) const;
  void append(std::vector<double>& values, TensorId id) const;
  bool is_xlnet() const { return config().family == Family::xlnet; }
  RelativeWeights read_relative(std::int64_t layer) const;
  void attend(const LayerWeights& layer, const States& states);
  void attend_head(std::int64_t first_row, std::int64_t tokens, std::int64_t first_text,
                   std::int64_t head);
  void add_and_norm(std::span<const double> branch, std::span<double> rows,
                    const NormWeights& norm) const;

  const WeightSource& weights_;
  RelativeAttention relative_;
  std::vector<double> qkv_, context_, scores_, hidden_, branch_;  ///< scratch of apply_layer
};

/// Why the reference can't compute this architecture, or nullopt when it can.
std::optional<std::string> encoder_why_not(const ModelConfig& config);

/// @throws BadInput when a sequence that is embedded as one is longer than the position table.
void check_positions(const ModelConfig& config, const Plan& plan, const Shape& shape);

}  // namespace deformer::reference
