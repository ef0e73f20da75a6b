#pragma once
/// The cost model: FLOPs, bytes and activation memory of a plan at a shape, per phase and per
/// layer. One multiply-add counts as 2 FLOPs. `flops` = GEMM + attention, the headline of the paper
/// (Cao et al., ACL 2020, 4.3 and appendix); element-wise work is reported apart. Actual tokens
/// count; there is no padding.

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.hpp"
#include "model/plan.hpp"
#include "model/shape.hpp"

namespace deformer {

struct Cost {
  std::int64_t flops_gemm = 0;         ///< QKV, output and feed-forward projections, pooler, head
  std::int64_t flops_attention = 0;    ///< QK^T and PV
  std::int64_t flops_elementwise = 0;  ///< softmax, LayerNorm, GELU, residuals, embedding sums
  /// Three more counts of GEMM + attention, equal to `flops()` for BERT. XLNet's differ, because
  /// nobody computes what its formulas say (paper's notes): nominal, with the projection of the
  /// position table for every sequence, scores of all 2s relative positions, and the segment term;
  std::int64_t flops_nominal = 0;
  /// the same with the position table projected ahead, once per layer;
  std::int64_t flops_precomputed = 0;
  /// and what is issued: `flops()`, whose position scores are the s x s that are needed, plus the
  /// rest of the band s + kShiftQueries - 1 wide that a block of queries computes.
  std::int64_t flops_issued = 0;
  std::int64_t bytes_weights = 0;  ///< weights read once by the phase (XLNet: the projected
                                   ///< position table, and not what projects it)
  std::int64_t bytes_activations =
      0;  ///< activations read and written, each product's operands once
  std::int64_t bytes_requested =
      0;  ///< sum of all op outputs (the paper's "memory": TensorFlow's total_requested_bytes)

  std::int64_t flops() const { return flops_gemm + flops_attention; }
  Cost& operator+=(const Cost& other);
};

/// Queries whose relative-position scores are computed as one band before the shift.
inline constexpr std::int64_t kShiftQueries = 8;

/// One operation by its name (model/layer_cost.hpp).
struct OperationCost {
  std::string_view name;
  Cost cost;
};

struct PhaseCost {
  Phase phase;
  Cost total;
  std::vector<Cost> layers;  ///< encode phases: one entry a layer; others empty
  /// Encode phases: the operations of one layer, all layers being alike; others: the one operation
  /// that they are, named as their kind.
  std::vector<OperationCost> operations;
};

struct PlanCost {
  std::vector<PhaseCost> phases;  ///< parallel to plan.phases
  Cost total;
  std::int64_t weights_bytes = 0;          ///< all weights the plan touches, counted once
  std::int64_t activation_peak_bytes = 0;  ///< largest sum of activations alive at once
  std::int64_t cache_bytes_passage =
      0;  ///< stored bytes of one (the longest) passage; 0 unless cached
  std::int64_t cache_bytes_batch = 0;  ///< stored bytes one forward loads
};

struct CostOptions {
  DType dtype = DType::f32;        ///< of weights and activations
  DType cache_dtype = DType::f32;  ///< of stored passages
};

PlanCost cost_of(const ModelConfig& config, const Plan& plan, const Shape& shape,
                 const CostOptions& options = {});

/// FLOPs of one encoder layer over one sequence of s tokens, GEMM + attention:
/// BERT 2s(4d^2 + 2 d d_ff) + 4 s^2 d; XLNet as in the paper's notes (position projection
/// precomputed, only the s x s band needed).
std::int64_t layer_flops(const ModelConfig& config, std::int64_t tokens);

/// Bytes one stored passage of `tokens` rows takes: rows x d x element; int8 adds one f32 scale a
/// row; bit1 stores ceil(d/8) bytes and one f32 scale a row.
std::int64_t cached_passage_bytes(const ModelConfig& config, std::int64_t tokens,
                                  DType cache_dtype);

/// FLOPs saved per pair by a cached passage, dF = k [F(q+p) - F(q)].
std::int64_t saved_flops_per_pair(const ModelConfig& config, std::int64_t split,
                                  std::int64_t question, std::int64_t passage);

/// Critical bandwidth BW* = R B / dF in bytes/s for a compute rate of R FLOP/s: below it loading a
/// passage costs more than recomputing it. Infinite when nothing is saved (split 0).
double critical_bandwidth(double flops_per_s, std::int64_t passage_bytes, std::int64_t saved_flops);

/// Sum of the bytes of all weights at `dtype`.
std::int64_t total_weight_bytes(const ModelConfig& config, DType dtype);

/// Bytes of XLNet's position table, projected by every layer, for sequences of up to `longest`
/// tokens: 2 longest - 1 distances. 0 for BERT.
std::int64_t position_key_bytes(const ModelConfig& config, std::int64_t longest, DType dtype);

}  // namespace deformer
