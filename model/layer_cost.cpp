#include "model/layer_cost.hpp"

#include <algorithm>
#include <array>

namespace deformer {
namespace {

using std::int64_t;

constexpr std::array<std::string_view, 7> kLayerOperations{"qkv",  "attention", "out",  "norm1",
                                                           "ffn1", "ffn2",      "norm2"};

/// y = x W^T + b, [rows, out] from [rows, in]; with `residual`, onto what y holds.
Cost product(int64_t rows, int64_t in, int64_t out, bool bias, bool residual, int64_t element) {
  Cost cost;
  cost.flops_gemm = 2 * rows * in * out;
  count_alike(cost);
  cost.flops_elementwise = rows * out * (residual ? 2 : 1);
  cost.bytes_weights = (in * out + (bias ? out : 0)) * element;
  cost.bytes_activations = rows * (in + (residual ? 2 : 1) * out) * element;
  cost.bytes_requested = rows * out * (residual ? 2 : 1) * element;
  return cost;
}

Cost layer_norm(int64_t rows, int64_t d, int64_t element) {
  Cost cost;
  cost.flops_elementwise = kLayerNormFlops * rows * d;
  cost.bytes_weights = 2 * d * element;
  cost.bytes_activations = 2 * rows * d * element;
  cost.bytes_requested = rows * d * element;
  return cost;
}

Cost feed_forward_in(int64_t rows, int64_t d, int64_t f, int64_t element) {
  Cost cost = product(rows, d, f, true, false, element);
  cost.flops_elementwise += kGeluFlops * rows * f;
  cost.bytes_requested += rows * f * element;  // the GELU's result
  return cost;
}

/// What XLNet's attention has on top of BERT's. Position scores (q + r_r) k_r: the s x s that are
/// needed, 2 s^2 d; nominally 2s positions are scored, 4 s^2 d, and projected for every sequence,
/// 2 * 2s * d^2. The segment term is element-wise: 4 d s to form it, 4 s^2 heads to add it.
void add_relative_scores(const ModelConfig& config, const SegmentRows& rows, int64_t element,
                         Cost& cost) {
  const int64_t d = config.d_model;
  const int64_t s = rows.tokens;
  const int64_t s2 = rows.tokens_squared;
  const int64_t scores = config.heads * s2;
  const int64_t segment_term = 4 * d * s + 4 * scores;
  cost.flops_precomputed = cost.flops() + 4 * s2 * d + segment_term;
  cost.flops_nominal = cost.flops_precomputed + 4 * d * d * s;
  cost.flops_attention += 2 * s2 * d;
  cost.flops_issued = cost.flops() + 2 * s * d * (kShiftQueries - 1);
  cost.flops_elementwise += segment_term;
  // The projected table and five vectors of width d: r_w, r_r, r_s, two segment embeddings.
  cost.bytes_weights += (std::max(2 * rows.longest - 1, int64_t{0}) * d + 5 * d) * element;
  // The projected table; the 2s-wide scores, shifted and summed.
  cost.bytes_requested += (2 * s * d + 4 * scores) * element;
}

Cost attention(const ModelConfig& config, const SegmentRows& rows, int64_t element) {
  const int64_t d = config.d_model;
  const int64_t s = rows.tokens;
  const int64_t s2 = rows.tokens_squared;
  const int64_t scores = config.heads * s2;
  Cost cost;
  cost.flops_attention = 4 * s2 * d;
  count_alike(cost);
  cost.flops_elementwise = kSoftmaxFlops * scores;
  cost.bytes_activations = 4 * s * d * element;  // q, k, v and the context
  cost.bytes_requested = (s * d + 2 * scores) * element;
  if (config.family == Family::xlnet) {
    add_relative_scores(config, rows, element, cost);
  }
  return cost;
}

}  // namespace

void count_alike(Cost& cost) {
  cost.flops_nominal = cost.flops_precomputed = cost.flops_issued = cost.flops();
}

std::span<const std::string_view> layer_operations(Family /*family*/) {
  return kLayerOperations;
}

SegmentRows segment_rows(const Shape& shape, Segment segment) {
  SegmentRows rows;
  for (const int64_t tokens : sequence_tokens(shape, segment)) {
    ++rows.sequences;
    rows.tokens += tokens;
    rows.tokens_squared += tokens * tokens;
    rows.longest = std::max(rows.longest, tokens);
  }
  return rows;
}

std::vector<OperationCost> layer_operation_costs(const ModelConfig& config, const SegmentRows& rows,
                                                 int64_t element) {
  const int64_t d = config.d_model;
  const int64_t f = config.d_ff;
  const int64_t s = rows.tokens;
  const bool bias = config.family == Family::bert;  // XLNet: none on Q, K, V and O
  return {{"qkv", product(s, d, 3 * d, bias, false, element)},
          {"attention", attention(config, rows, element)},
          {"out", product(s, d, d, bias, true, element)},
          {"norm1", layer_norm(s, d, element)},
          {"ffn1", feed_forward_in(s, d, f, element)},
          {"ffn2", product(s, f, d, true, true, element)},
          {"norm2", layer_norm(s, d, element)}};
}

Cost layer_cost(const ModelConfig& config, const SegmentRows& rows, int64_t element) {
  Cost sum;
  for (const OperationCost& operation : layer_operation_costs(config, rows, element)) {
    sum += operation.cost;
  }
  return sum;
}

}  // namespace deformer
