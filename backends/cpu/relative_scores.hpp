#pragma once
/// What XLNet's attention adds to a block of scores: positions and segments.
///
/// The published score is ((q + r_w) k + (q + r_r) k_r(distance) + (q + r_s) e) / sqrt(d_head). The
/// queries that arrive here are Q = (q + r_w) / sqrt(d_head), because r_w is the bias of the QKV
/// product, so that
///
///   score = Q k + [Q k_r + (r_r - r_w) k_r / sqrt(d_head)] + [Q e + (r_s - r_w) e / sqrt(d_head)]
///
/// where k_r, and with it all but Q in the brackets, depends on the weights alone and is packed
/// with them. Of the segment term only the difference between the two embeddings matters: what is
/// added to all keys of a query alike does not change its softmax. It is dropped where all keys lie
/// in one segment.

#include <cstdint>

#include "backends/cpu/tiles.hpp"

namespace deformer {

/// One layer's, packed: position keys R p(distance) of every head.
struct RelativeKeys {
  std::int64_t reach = 0;  ///< distances reach, reach - 1, ... -reach
  std::int64_t stride =
      0;  ///< floats between two rows of `keys`, room for a vector behind the last
  const float* keys = nullptr;      ///< [heads, d_head, stride]: column reach - distance
  const float* key_bias = nullptr;  ///< [heads, stride]: (r_r - r_w) k_r / sqrt(d_head)
  const float* segments = nullptr;  ///< [heads, d_head]: e of another segment less e of the same
  const float* segment_bias = nullptr;  ///< [heads]: (r_s - r_w) times that / sqrt(d_head)
};

/// A block of queries of one head of one sequence, and its scores.
struct ScoreBlock {
  std::int64_t head;
  std::int64_t first_query;  ///< its place in the sequence
  std::int64_t queries;
  std::int64_t width;       ///< queries up to whole vectors
  std::int64_t tokens;      ///< of the sequence
  std::int64_t first_text;  ///< tokens of the first segment
  const float* turned;      ///< Q, [d_head, width]
  float* scores;            ///< [tokens, width]
};

class RelativeScores {
 public:
  RelativeScores(const TileSet& set, std::int64_t d_head, std::int64_t longest,
                 std::int64_t widest);

  /// Floats of scratch memory that a thread needs.
  std::int64_t scratch_floats() const;

  /// Adds every query's position scores. Distances are multiplied for a tile of queries at a time,
  /// tokens + tile - 1 of them, and the tile's rows are stored one float farther apart than the
  /// result's: that is the shift, and what lies there is plainly [queries, tokens].
  void add_positions(const RelativeKeys& keys, const ScoreBlock& block, float* scratch) const;

  /// What to add to each query's scores of keys in the first segment (`first`) and in the second
  /// (`second`), [width] each. False, and nothing written, where all keys lie in one segment.
  bool segment_terms(const RelativeKeys& keys, const ScoreBlock& block, float* first,
                     float* second) const;

 private:
  void multiply_chunk(const RelativeKeys& keys, const ScoreBlock& block, std::int64_t first_key,
                      std::int64_t count, float* by_query) const;
  std::int64_t row_floats() const;

  const TileSet& set_;
  std::int64_t d_head_;
  std::int64_t chunk_;   ///< keys whose scores are made at a time
  std::int64_t widest_;  ///< queries of a block, at most
};

}  // namespace deformer
