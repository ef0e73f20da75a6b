#include "backends/reference/encoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/reference/elementwise.hpp"
#include "backends/reference/linear.hpp"
#include "model/error.hpp"
#include "model/layer_cost.hpp"
#include "profilers/clock.hpp"

namespace deformer::reference {
namespace {

/// Scores are computed for this many queries at a time, so that a sequence of 65 536 tokens needs
/// 128 MiB for them, and not 32 GiB.
constexpr std::int64_t kQueryBlock = 256;
/// Rows that the feed-forward layer works on at a time: enough for a product at full speed.
constexpr std::int64_t kRowBlock = 512;

std::size_t usize(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

template <typename T>
std::span<T> part(std::vector<T>& values, std::int64_t first, std::int64_t count) {
  return std::span<T>(values).subspan(usize(first), usize(count));
}

/// One text inside a packed segment: where its ids are, and the position and type it starts with.
struct Text {
  std::span<const std::int32_t> ids;
  std::int64_t first_position;
  std::int64_t token_type;
};

/// Adds rows of the embedding tables to the packed rows, text by text.
class Embedder {
 public:
  Embedder(const WeightSource& weights, std::int64_t positions)
      : weights_(weights), d_(weights.config().d_model), row_(usize(d_)) {
    if (weights.config().family == Family::bert) {
      positions_ = table(Role::position_embedding, positions);
      types_ = table(Role::type_embedding, weights.config().type_vocab_size);
    }
  }

  void add(const Text& text, std::vector<double>& rows) {
    for (std::size_t i = 0; i < text.ids.size(); ++i) {
      weights_.read_rows(Role::word_embedding, text.ids[i], row_);
      if (positions_.empty()) {
        rows.insert(rows.end(), row_.begin(), row_.end());
        continue;
      }
      const float* position =
          positions_.data() + (text.first_position + static_cast<std::int64_t>(i)) * d_;
      const float* type = types_.data() + text.token_type * d_;
      for (std::size_t j = 0; j < row_.size(); ++j) {
        rows.push_back(double{row_[j]} + double{type[j]} + double{position[j]});
      }
    }
  }

 private:
  std::vector<float> table(Role role, std::int64_t rows) const {
    std::vector<float> values(usize(rows * d_));
    weights_.read_rows(role, 0, values);
    return values;
  }

  const WeightSource& weights_;
  std::int64_t d_;
  std::vector<float> row_, positions_, types_;
};

/// The ids of text number `index` of a packed segment.
std::span<const std::int32_t> ids_of(std::span<const std::int32_t> ids,
                                     const std::vector<std::int64_t>& offsets, std::int64_t index) {
  const std::int64_t first = offsets[usize(index)];
  return ids.subspan(usize(first), usize(offsets[usize(index) + 1] - first));
}

/// The texts of a segment in packed order; those of a pair follow each other.
std::vector<Text> texts_of(Segment segment, Order order, const Shape& shape, const Inputs& inputs) {
  const std::int64_t question_type = order == Order::question_first ? 0 : 1;
  const std::vector<std::int64_t> questions = cumulative_tokens(shape, Segment::question);
  const std::vector<std::int64_t> passages = cumulative_tokens(shape, Segment::passage);
  std::vector<Text> texts;
  const auto add_question = [&](std::int64_t index, std::int64_t position) {
    texts.push_back({ids_of(inputs.question_ids, questions, index), position, question_type});
  };
  const auto add_passage = [&](std::int64_t index, std::int64_t position) {
    texts.push_back({ids_of(inputs.passage_ids, passages, index), position, 1 - question_type});
  };
  if (segment == Segment::question) {
    for (std::size_t i = 0; i < shape.question_tokens.size(); ++i) {
      add_question(static_cast<std::int64_t>(i), 0);
    }
  } else if (segment == Segment::passage) {
    for (std::size_t i = 0; i < shape.passage_tokens.size(); ++i) {
      add_passage(static_cast<std::int64_t>(i), 0);
    }
  } else {
    for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
      const std::int64_t question = shape.question_of_pair(pair);
      const std::int64_t passage = shape.passage_of_pair(pair);
      if (order == Order::question_first) {
        add_question(question, 0);
        add_passage(passage, shape.question_tokens[usize(question)]);
      } else {
        add_passage(passage, 0);
        add_question(question, shape.passage_tokens[usize(passage)]);
      }
    }
  }
  return texts;
}

}  // namespace

void Encoder::append(std::vector<double>& values, TensorId id) const {
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor_shape(config(), id)) {
    elements *= size;
  }
  std::vector<float> stored(usize(elements));
  weights_.read(id, stored);
  values.insert(values.end(), stored.begin(), stored.end());
}

DenseWeights Encoder::read_dense(Role weight, Role bias, std::int64_t layer) const {
  DenseWeights result;
  append(result.weight, {weight, layer});
  append(result.bias, {bias, layer});
  return result;
}

NormWeights Encoder::read_norm(Role weight, Role bias, std::int64_t layer) const {
  NormWeights result;
  append(result.weight, {weight, layer});
  append(result.bias, {bias, layer});
  return result;
}

LayerWeights Encoder::read_layer(std::int64_t layer) const {
  LayerWeights result;
  result.qkv.weight.reserve(usize(3 * config().d_model * config().d_model));
  for (const Role role : {Role::query_weight, Role::key_weight, Role::value_weight}) {
    append(result.qkv.weight, {role, layer});
  }
  if (is_xlnet()) {
    result.qkv.bias.assign(usize(3 * config().d_model), 0.0);
    append(result.attention_out.weight, {Role::attention_out_weight, layer});
    result.attention_out.bias.assign(usize(config().d_model), 0.0);
    result.relative = read_relative(layer);
  } else {
    for (const Role role : {Role::query_bias, Role::key_bias, Role::value_bias}) {
      append(result.qkv.bias, {role, layer});
    }
    result.attention_out = read_dense(Role::attention_out_weight, Role::attention_out_bias, layer);
  }
  result.attention_norm = read_norm(Role::attention_norm_weight, Role::attention_norm_bias, layer);
  result.ffn1 = read_dense(Role::ffn1_weight, Role::ffn1_bias, layer);
  result.ffn2 = read_dense(Role::ffn2_weight, Role::ffn2_bias, layer);
  result.ffn_norm = read_norm(Role::ffn_norm_weight, Role::ffn_norm_bias, layer);
  return result;
}

RelativeWeights Encoder::read_relative(std::int64_t layer) const {
  RelativeWeights result;
  append(result.position_weight, {Role::position_weight, layer});
  append(result.content_bias, {Role::content_bias, layer});
  append(result.position_bias, {Role::position_bias, layer});
  append(result.segment_bias, {Role::segment_bias, layer});
  append(result.segment_embedding, {Role::segment_embedding, layer});
  return result;
}

States Encoder::embed(Segment segment, Order order, const Shape& shape,
                      const Inputs& inputs) const {
  States states;
  states.offsets = cumulative_tokens(shape, segment);
  states.first_texts = first_text_tokens(shape, segment, order);
  states.rows.reserve(usize(states.tokens() * config().d_model));
  Embedder embedder(weights_, longest(shape, segment));
  for (const Text& text : texts_of(segment, order, shape, inputs)) {
    embedder.add(text, states.rows);
  }
  if (is_xlnet()) {
    return states;
  }
  const NormWeights norm = read_norm(Role::embedding_norm_weight, Role::embedding_norm_bias, -1);
  const std::int64_t d = config().d_model;
  for (std::int64_t row = 0; row < states.tokens(); ++row) {
    layer_norm(part(states.rows, row * d, d), norm.weight, norm.bias, config().layer_norm_eps);
  }
  return states;
}

/// Softmax(scores) v of one head of one sequence, into its columns of context_. BERT's scores are
/// q k^T / sqrt(d_head).
void Encoder::attend_head(std::int64_t first_row, std::int64_t tokens, std::int64_t first_text,
                          std::int64_t head) {
  const std::int64_t d = config().d_model;
  const std::int64_t size = config().d_head();
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));
  const double* query = qkv_.data() + first_row * 3 * d + head * size;
  const ConstMatrixView keys{query + d, tokens, size, 3 * d};
  const ConstMatrixView values{query + 2 * d, tokens, size, 3 * d};
  for (std::int64_t first = 0; first < tokens; first += kQueryBlock) {
    const std::int64_t count = std::min(kQueryBlock, tokens - first);
    const ConstMatrixView queries{query + first * 3 * d, count, size, 3 * d};
    const MatrixView scores{scores_.data(), count, tokens, tokens};
    if (is_xlnet()) {
      relative_.score({first, count, tokens, first_text, head * size}, queries, keys, scores);
    } else {
      multiply_transposed(scale, queries, keys, scores);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      softmax(part(scores_, i * tokens, tokens));
    }
    multiply({scores_.data(), count, tokens, tokens}, values,
             {context_.data() + (first_row + first) * d + head * size, count, size, d});
  }
}

void Encoder::attend(const LayerWeights& layer, const States& states) {
  if (is_xlnet()) {
    std::int64_t longest = 1;
    for (std::size_t i = 0; i + 1 < states.offsets.size(); ++i) {
      longest = std::max(longest, states.offsets[i + 1] - states.offsets[i]);
    }
    relative_.start_layer(layer.relative, longest);
  }
  for (std::size_t sequence = 0; sequence + 1 < states.offsets.size(); ++sequence) {
    const std::int64_t first_row = states.offsets[sequence];
    const std::int64_t tokens = states.offsets[sequence + 1] - first_row;
    scores_.resize(std::max(scores_.size(), usize(std::min(kQueryBlock, tokens) * tokens)));
    for (std::int64_t head = 0; head < config().heads; ++head) {
      attend_head(first_row, tokens, states.first_texts[sequence], head);
    }
  }
}

void Encoder::add_and_norm(std::span<const double> branch, std::span<double> rows,
                           const NormWeights& norm) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] += branch[i];
  }
  const std::size_t d = usize(config().d_model);
  for (std::size_t first = 0; first < rows.size(); first += d) {
    layer_norm(rows.subspan(first, d), norm.weight, norm.bias, config().layer_norm_eps);
  }
}

OperationTimes::OperationTimes(Family family)
    : names_(layer_operations(family)), ns_(names_.size()) {}

void OperationTimes::clear() {
  std::ranges::fill(ns_, 0);
  last_ns_ = now_ns();
}

void OperationTimes::finished(std::string_view operation) {
  const std::int64_t now = now_ns();
  ns_[static_cast<std::size_t>(std::ranges::find(names_, operation) - names_.begin())] +=
      now - last_ns_;
  last_ns_ = now;
}

void Encoder::apply_layer(const LayerWeights& layer, States& states, OperationTimes* times) {
  const auto finished = [times](std::string_view operation) {
    if (times != nullptr) {
      times->finished(operation);
    }
  };
  const std::int64_t tokens = states.tokens();
  const std::int64_t d = config().d_model;
  const std::int64_t ff = config().d_ff;
  qkv_.resize(usize(tokens * 3 * d));
  context_.resize(usize(tokens * d));
  dense(states.rows, tokens, layer.qkv.weight, layer.qkv.bias, qkv_);
  finished("qkv");
  attend(layer, states);
  finished("attention");
  for (std::int64_t first = 0; first < tokens; first += kRowBlock) {
    const std::int64_t count = std::min(kRowBlock, tokens - first);
    const std::span<double> rows = part(states.rows, first * d, count * d);
    branch_.resize(usize(count * d));
    hidden_.resize(usize(count * ff));
    dense(part(context_, first * d, count * d), count, layer.attention_out.weight,
          layer.attention_out.bias, branch_);
    finished("out");
    add_and_norm(branch_, rows, layer.attention_norm);
    finished("norm1");
    dense(rows, count, layer.ffn1.weight, layer.ffn1.bias, hidden_);
    apply_gelu(config().activation, hidden_);
    finished("ffn1");
    dense(hidden_, count, layer.ffn2.weight, layer.ffn2.bias, branch_);
    finished("ffn2");
    add_and_norm(branch_, rows, layer.ffn_norm);
    finished("norm2");
  }
}

States Encoder::join(Order order, const Shape& shape, const States& questions,
                     const States& passages) const {
  const std::int64_t d = config().d_model;
  States joint;
  joint.offsets = cumulative_tokens(shape, Segment::joint);
  joint.first_texts = first_text_tokens(shape, Segment::joint, order);
  joint.rows.reserve(usize(joint.tokens() * d));
  const auto add = [&](const States& texts, std::int64_t index) {
    const auto begin = texts.rows.begin();
    joint.rows.insert(joint.rows.end(), begin + texts.offsets[usize(index)] * d,
                      begin + texts.offsets[usize(index) + 1] * d);
  };
  for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
    if (order == Order::question_first) {
      add(questions, shape.question_of_pair(pair));
    }
    add(passages, shape.passage_of_pair(pair));
    if (order == Order::passage_first) {
      add(questions, shape.question_of_pair(pair));
    }
  }
  return joint;
}

std::vector<double> Encoder::head(const States& states) const {
  if (config().head == HeadKind::none) {
    return {};
  }
  const DenseWeights top = read_dense(Role::head_weight, Role::head_bias, -1);
  const auto outputs = static_cast<std::int64_t>(top.bias.size());
  if (config().head == HeadKind::span) {
    std::vector<double> result(usize(states.tokens() * outputs));
    dense(states.rows, states.tokens(), top.weight, top.bias, result);
    return result;
  }
  // A sequence is classified by one token, through the pooler.
  const DenseWeights pooler = read_dense(Role::pooler_weight, Role::pooler_bias, -1);
  const std::int64_t d = config().d_model;
  const auto sequences = static_cast<std::int64_t>(states.offsets.size()) - 1;
  std::vector<double> chosen;
  for (std::int64_t i = 0; i < sequences; ++i) {
    const std::int64_t row = config().classifies_by_last_token() ? states.offsets[usize(i) + 1] - 1
                                                                 : states.offsets[usize(i)];
    const auto begin = states.rows.begin() + row * d;
    chosen.insert(chosen.end(), begin, begin + d);
  }
  std::vector<double> pooled(chosen.size());
  dense(chosen, sequences, pooler.weight, pooler.bias, pooled);
  std::ranges::transform(pooled, pooled.begin(), [](double x) { return std::tanh(x); });
  std::vector<double> result(usize(sequences * outputs));
  dense(pooled, sequences, top.weight, top.bias, result);
  return result;
}

std::int64_t Encoder::scratch_bytes(std::int64_t tokens, std::int64_t longest_sequence) const {
  const std::int64_t d = config().d_model;
  const std::int64_t scores = std::min(kQueryBlock, longest_sequence) * longest_sequence;
  const std::int64_t block = std::min(kRowBlock, tokens) * (d + config().d_ff);
  const std::int64_t relative =
      is_xlnet() ? RelativeAttention::scratch_bytes(config(), longest_sequence, kQueryBlock) : 0;
  return (tokens * 4 * d + scores + block) * static_cast<std::int64_t>(sizeof(double)) + relative;
}

std::int64_t Encoder::layer_bytes() const {
  const std::int64_t d = config().d_model;
  const std::int64_t ff = config().d_ff;
  const std::int64_t relative = is_xlnet() ? d * d + 5 * d : 0;
  return (4 * d * d + 2 * d * ff + 9 * d + ff + relative) *
         static_cast<std::int64_t>(sizeof(double));
}

std::optional<std::string> encoder_why_not(const ModelConfig& config) {
  if (config.type_vocab_size < 2) {
    return fmt::format("a pair of texts needs 2 token types, the model has {}",
                       config.type_vocab_size);
  }
  return std::nullopt;
}

void check_positions(const ModelConfig& config, const Plan& plan, const Shape& shape) {
  if (config.positions_grow) {
    return;
  }
  for (const Phase& phase : plan.phases) {
    if (phase.kind == PhaseKind::embed && longest(shape, phase.segment) > config.max_positions) {
      throw BadInput(fmt::format(
          "{}: expected sequences of at most {} tokens (its position table), found {} tokens in "
          "{}; "
          "shorten the texts or take a model with more positions",
          config.name, config.max_positions, longest(shape, phase.segment), phase_name(phase)));
    }
  }
}

}  // namespace deformer::reference
