#include "bert.hpp"

#include <algorithm>
#include <cmath>

namespace loops {
namespace {

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

void normalise(const Norm& norm, double eps, float* row) {
  const std::size_t d = norm.weight.size();
  double mean = 0;
  for (std::size_t j = 0; j < d; ++j) mean += row[j];
  mean /= static_cast<double>(d);
  double variance = 0;
  for (std::size_t j = 0; j < d; ++j) variance += (row[j] - mean) * (row[j] - mean);
  const double scale = 1.0 / std::sqrt(variance / static_cast<double>(d) + eps);
  for (std::size_t j = 0; j < d; ++j) {
    row[j] = static_cast<float>((row[j] - mean) * scale) * norm.weight[j] + norm.bias[j];
  }
}

float gelu(float x, bool by_tanh) {
  constexpr float kSlope = 0.7978845608f;  // sqrt(2 / pi)
  return by_tanh ? 0.5f * x * (1.0f + std::tanh(kSlope * (x + 0.044715f * x * x * x)))
                 : 0.5f * x * (1.0f + std::erf(x * 0.7071067812f));
}

// softmax(q k^T / sqrt(size)) v of one head of one sequence.
void attend(const Bert& bert, std::int64_t first, std::int64_t tokens, std::int64_t head,
            Scratch& s) {
  const std::int64_t size = bert.d / bert.heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  const auto row = [&](Floats& rows, std::int64_t i) {
    return rows.data() + (first + i) * bert.d + head * size;
  };
  for (std::int64_t i = 0; i < tokens; ++i) {
    const float* query = row(s.query, i);
    float highest = -INFINITY;
    for (std::int64_t j = 0; j < tokens; ++j) {
      const float* key = row(s.key, j);
      float sum = 0;
      for (std::int64_t x = 0; x < size; ++x) sum += query[x] * key[x];
      s.scores[at(j)] = sum * scale;
      highest = std::max(highest, s.scores[at(j)]);
    }
    float total = 0;
    for (std::int64_t j = 0; j < tokens; ++j) {
      s.scores[at(j)] = std::exp(s.scores[at(j)] - highest);
      total += s.scores[at(j)];
    }
    float* context = row(s.context, i);
    std::fill(context, context + size, 0.0f);
    for (std::int64_t j = 0; j < tokens; ++j) {
      const float* value = row(s.value, j);
      const float share = s.scores[at(j)] / total;
      for (std::int64_t x = 0; x < size; ++x) context[x] += share * value[x];
    }
  }
}

void add_and_normalise(const Bert& bert, const Norm& norm, const Floats& branch, States& states) {
  for (std::int64_t row = 0; row < states.tokens(); ++row) {
    float* to = states.rows.data() + row * bert.d;
    for (std::int64_t j = 0; j < bert.d; ++j) to[j] += branch[at(row * bert.d + j)];
    normalise(norm, bert.eps, to);
  }
}

}  // namespace

void multiply(const Dense& dense, const float* in, std::int64_t rows, std::int64_t width,
              float* out) {
  const auto outputs = static_cast<std::int64_t>(dense.bias.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      const float* weight = dense.weight.data() + o * width;
      float sum = 0;
      for (std::int64_t i = 0; i < width; ++i) sum += in[row * width + i] * weight[i];
      out[row * outputs + o] = sum + dense.bias[at(o)];
    }
  }
}

void embed(const Bert& bert, std::int32_t word, std::int64_t position, std::int64_t type,
           std::int64_t row, States& states) {
  float* to = states.rows.data() + row * bert.d;
  for (std::int64_t j = 0; j < bert.d; ++j) {
    to[j] = bert.words[at(word * bert.d + j)] + bert.types[at(type * bert.d + j)] +
            bert.positions[at(position * bert.d + j)];
  }
  normalise(bert.embedding_norm, bert.eps, to);
}

void encode(const Bert& bert, const Layer& layer, States& states, Scratch& s) {
  const std::int64_t tokens = states.tokens();
  const float* rows = states.rows.data();
  multiply(layer.query, rows, tokens, bert.d, s.query.data());
  multiply(layer.key, rows, tokens, bert.d, s.key.data());
  multiply(layer.value, rows, tokens, bert.d, s.value.data());
  for (std::size_t i = 0; i + 1 < states.offsets.size(); ++i) {
    for (std::int64_t head = 0; head < bert.heads; ++head) {
      attend(bert, states.offsets[i], states.offsets[i + 1] - states.offsets[i], head, s);
    }
  }
  multiply(layer.out, s.context.data(), tokens, bert.d, s.branch.data());
  add_and_normalise(bert, layer.attention_norm, s.branch, states);
  multiply(layer.ffn1, rows, tokens, bert.d, s.hidden.data());
  for (std::int64_t i = 0; i < tokens * bert.ff; ++i) {
    s.hidden[at(i)] = gelu(s.hidden[at(i)], bert.gelu_tanh);
  }
  multiply(layer.ffn2, s.hidden.data(), tokens, bert.ff, s.branch.data());
  add_and_normalise(bert, layer.ffn_norm, s.branch, states);
}

}  // namespace loops
