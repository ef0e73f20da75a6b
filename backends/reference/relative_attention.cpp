#include "backends/reference/relative_attention.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/relative_positions.hpp"

namespace deformer::reference {
namespace {

std::size_t usize(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

void RelativeAttention::start_layer(const RelativeWeights& weights, std::int64_t longest) {
  const std::int64_t d = config_.d_model;
  const std::int64_t rows = 2 * longest - 1;
  weights_ = &weights;
  if (longest != longest_) {
    longest_ = longest;
    std::vector<float> row(usize(d));
    table_.clear();
    for (std::int64_t distance = longest - 1; distance > -longest; --distance) {
      relative_position(distance, row);
      table_.insert(table_.end(), row.begin(), row.end());
    }
  }
  position_keys_.resize(usize(rows * d));
  const std::vector<double> no_bias(usize(d), 0.0);
  dense(table_, rows, weights.position_weight, no_bias, position_keys_);
}

void RelativeAttention::score(const QueryBlock& block, ConstMatrixView queries,
                              ConstMatrixView keys, MatrixView scores) {
  const auto head = [&](const std::vector<double>& bias) {
    return std::span(bias).subspan(usize(block.first_column), usize(config_.d_head()));
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(config_.d_head()));
  multiply_transposed(1.0, biased(queries, head(weights_->content_bias)), keys, scores);
  add_positions(block, biased(queries, head(weights_->position_bias)), scores);
  add_segments(block, biased(queries, head(weights_->segment_bias)), scores);
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    for (std::int64_t j = 0; j < scores.columns; ++j) {
      scores.data[i * scores.stride + j] *= scale;
    }
  }
}

ConstMatrixView RelativeAttention::biased(ConstMatrixView queries, std::span<const double> bias) {
  biased_.resize(usize(queries.rows * queries.columns));
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    for (std::int64_t k = 0; k < queries.columns; ++k) {
      biased_[usize(i * queries.columns + k)] =
          queries.data[i * queries.stride + k] + bias[usize(k)];
    }
  }
  return {biased_.data(), queries.rows, queries.columns, queries.columns};
}

/// The block's queries meet distances first + count - 1 down to first - tokens + 1.
void RelativeAttention::add_positions(const QueryBlock& block, ConstMatrixView queries,
                                      MatrixView scores) {
  const std::int64_t d = config_.d_model;
  const std::int64_t farthest = block.first + block.count - 1;
  const std::int64_t distances = block.tokens + block.count - 1;
  const double* keys = position_keys_.data() + (longest_ - 1 - farthest) * d + block.first_column;
  by_distance_.resize(usize(block.count * distances));
  multiply_transposed(1.0, queries, {keys, distances, queries.columns, d},
                      {by_distance_.data(), block.count, distances, distances});
  for (std::int64_t i = 0; i < block.count; ++i) {
    for (std::int64_t j = 0; j < block.tokens; ++j) {
      const std::int64_t distance = block.first + i - j;
      scores.data[i * scores.stride + j] +=
          by_distance_[usize(i * distances + (farthest - distance))];
    }
  }
}

void RelativeAttention::add_segments(const QueryBlock& block, ConstMatrixView queries,
                                     MatrixView scores) {
  const double* same = weights_->segment_embedding.data() + block.first_column;
  const double* other = same + config_.d_model;
  for (std::int64_t i = 0; i < block.count; ++i) {
    const double* query = queries.data + i * queries.stride;
    const double with_same = std::inner_product(query, query + queries.columns, same, 0.0);
    const double with_other = std::inner_product(query, query + queries.columns, other, 0.0);
    const bool in_first = block.first + i < block.first_text;
    for (std::int64_t j = 0; j < block.tokens; ++j) {
      const bool is_same = in_first == (j < block.first_text);
      scores.data[i * scores.stride + j] += is_same ? with_same : with_other;
    }
  }
}

std::int64_t RelativeAttention::scratch_bytes(const ModelConfig& config, std::int64_t longest,
                                              std::int64_t block) {
  const std::int64_t queries = std::min(block, longest);
  const std::int64_t tables = 2 * (2 * longest - 1) * config.d_model;
  return (tables + queries * (longest + queries - 1) + queries * config.d_head()) *
         static_cast<std::int64_t>(sizeof(double));
}

}  // namespace deformer::reference
