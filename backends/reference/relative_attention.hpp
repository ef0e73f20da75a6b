#pragma once
/// XLNet's attention scores in float64, term by term as they are published:
///   ((q_i + r_w) k_j + (q_i + r_r) (R p(i - j)) + (q_i + r_s) e[segments of i and j differ]) /
///   sqrt(d_head)
/// (Yang et al., "XLNet", NeurIPS 2019, 2.4-2.5; Dai et al., "Transformer-XL", ACL 2019, 3.3).
/// Queries are in the order of the sequence, and p(i - j) is looked up at its distance: nothing is
/// shifted.

#include <cstdint>
#include <span>
#include <vector>

#include "backends/reference/linear.hpp"
#include "model/config.hpp"

namespace deformer::reference {

/// A layer's tensors, widened; empty for BERT.
struct RelativeWeights {
  std::vector<double> position_weight;    ///< R, [d, d]
  std::vector<double> content_bias;       ///< r_w, [d]
  std::vector<double> position_bias;      ///< r_r, [d]
  std::vector<double> segment_bias;       ///< r_s, [d]
  std::vector<double> segment_embedding;  ///< e, [2, d]
};

/// A block of queries of one head of one sequence.
struct QueryBlock {
  std::int64_t first;         ///< its first query's place in the sequence
  std::int64_t count;         ///< of queries
  std::int64_t tokens;        ///< of the sequence
  std::int64_t first_text;    ///< tokens of the first text: where the second segment begins
  std::int64_t first_column;  ///< of the head, in rows of d
};

class RelativeAttention {
 public:
  explicit RelativeAttention(const ModelConfig& config) : config_(config) {}

  /// Takes up a layer, for sequences of at most `longest` tokens. The weights must outlive its use.
  void start_layer(const RelativeWeights& weights, std::int64_t longest);

  /// scores [count, tokens] of a block; `queries` [count, d_head], `keys` [tokens, d_head].
  void score(const QueryBlock& block, ConstMatrixView queries, ConstMatrixView keys,
             MatrixView scores);

  /// Bytes that it works in, for sequences of at most `longest` tokens, `block` queries at a time.
  static std::int64_t scratch_bytes(const ModelConfig& config, std::int64_t longest,
                                    std::int64_t block);

 private:
  ConstMatrixView biased(ConstMatrixView queries, std::span<const double> bias);
  void add_positions(const QueryBlock& block, ConstMatrixView queries, MatrixView scores);
  void add_segments(const QueryBlock& block, ConstMatrixView queries, MatrixView scores);

  const ModelConfig& config_;
  const RelativeWeights* weights_ = nullptr;
  std::int64_t longest_ = 0;
  std::vector<double> table_;          ///< p, [2 longest - 1, d], distances falling
  std::vector<double> position_keys_;  ///< R p, likewise
  std::vector<double> biased_, by_distance_;
};

}  // namespace deformer::reference
