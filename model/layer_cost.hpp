#pragma once
/// The operations of an encoder layer: their names, which every backend, table and trace uses, in
/// the order in which they run, and what each costs. A new architecture lists its own here.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/config.hpp"
#include "model/cost.hpp"
#include "model/shape.hpp"

namespace deformer {

/// BERT: qkv attention out norm1 ffn1 ffn2 norm2 (norm1 follows attention's output projection,
/// norm2 the feed-forward layer; both projections add their residual themselves).
std::span<const std::string_view> layer_operations(Family family);

/// The sequences of one segment: how many rows they have and the sum of their squared lengths.
struct SegmentRows {
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  std::int64_t tokens_squared = 0;
  std::int64_t longest = 0;
};

SegmentRows segment_rows(const Shape& shape, Segment segment);

/// Parallel to layer_operations. `element`: bytes of a weight or activation.
std::vector<OperationCost> layer_operation_costs(const ModelConfig& config, const SegmentRows& rows,
                                                 std::int64_t element);

/// Their sum.
Cost layer_cost(const ModelConfig& config, const SegmentRows& rows, std::int64_t element);

/// What is computed is what is needed: all counts of GEMM + attention are `flops()`.
void count_alike(Cost& cost);

// Conventions for element-wise work, FLOPs an element. They are reported apart and enter no ratio;
// what matters is that every variant is counted alike.
inline constexpr std::int64_t kSoftmaxFlops = 5;    // max, subtract, exp, sum, multiply
inline constexpr std::int64_t kLayerNormFlops = 8;  // mean 1, variance 3, normalise 2, affine 2
inline constexpr std::int64_t kGeluFlops = 8;       // polynomial or tanh form

}  // namespace deformer
