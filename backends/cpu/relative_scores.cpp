#include "backends/cpu/relative_scores.hpp"

#include <algorithm>

#include "backends/cpu/pages.hpp"
#include "backends/cpu/transpose.hpp"

namespace deformer {
namespace {

/// Keys whose position scores are made at a time: 100 KB of them, beside the scores themselves,
/// stay in the second-level cache, and a tile of 8 queries multiplies 7 distances more than needed.
constexpr std::int64_t kChunkKeys = 512;

}  // namespace

RelativeScores::RelativeScores(const TileSet& set, std::int64_t d_head, std::int64_t longest,
                               std::int64_t widest)
    : set_(set), d_head_(d_head), chunk_(std::min(longest, kChunkKeys)), widest_(widest) {}

/// A tile writes whole vectors from up to a tile's rows before its row's first key on.
std::int64_t RelativeScores::row_floats() const {
  return chunk_ + 2 * TileSet::kMostRows + set_.lanes;
}

std::int64_t RelativeScores::scratch_floats() const {
  return TileSet::kMostRows + (widest_ + 1) * row_floats();
}

void RelativeScores::add_positions(const RelativeKeys& keys, const ScoreBlock& block,
                                   float* scratch) const {
  float* by_query = scratch + TileSet::kMostRows;
  const std::int64_t chunks = divide_up(block.tokens, chunk_);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t first = block.tokens * chunk / chunks;
    const std::int64_t count = block.tokens * (chunk + 1) / chunks - first;
    multiply_chunk(keys, block, first, count, by_query);
    kernels::add_transposed(by_query, row_floats(), block.queries, count,
                            block.scores + first * block.width, block.width);
  }
}

/// Element (query, key - first_key) to by_query[query * row_floats() + key - first_key].
void RelativeScores::multiply_chunk(const RelativeKeys& keys, const ScoreBlock& block,
                                    std::int64_t first_key, std::int64_t count,
                                    float* by_query) const {
  const std::int64_t most = set_.most_rows[set_.panel_vectors];
  const std::int64_t tiles = divide_up(block.queries, most);
  const std::int64_t widest = set_.panel_columns();
  const float* head_keys = keys.keys + block.head * d_head_ * keys.stride;
  const float* head_bias = keys.key_bias + block.head * keys.stride;
  TileArgs args;
  args.a_row = 1;
  args.a_k = block.width;
  args.b_k = keys.stride;
  args.k = d_head_;
  args.c_row = row_floats() + 1;
  // Panels outside: the next tile's distances are nearly this one's, and still in the first cache.
  for (std::int64_t column = 0; column < count + most - 1; column += widest) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t top = block.queries * tile / tiles;
      const std::int64_t rows = block.queries * (tile + 1) / tiles - top;
      const std::int64_t columns = std::min(widest, count + rows - 1 - column);
      if (columns <= 0) {
        continue;
      }
      // The last query of the tile is the farthest behind its first key.
      const std::int64_t farthest = block.first_query + top + rows - 1 - first_key;
      const std::int64_t at = keys.reach - farthest + column;
      args.a = block.turned + top;
      args.b = head_keys + at;
      args.bias = head_bias + at;
      args.c = by_query + top * row_floats() - (rows - 1) + column;
      const auto vectors = static_cast<std::size_t>(divide_up(columns, set_.lanes));
      set_.tile[vectors][static_cast<std::size_t>(rows)](args);
    }
  }
}

bool RelativeScores::segment_terms(const RelativeKeys& keys, const ScoreBlock& block, float* first,
                                   float* second) const {
  if (block.first_text == 0 || block.first_text == block.tokens) {
    return false;
  }
  TileArgs args;
  args.a = keys.segments + block.head * d_head_;
  args.b = block.turned;
  args.b_k = block.width;
  args.k = d_head_;
  args.c = first;
  const auto vectors = static_cast<std::size_t>(block.width / set_.lanes);
  set_.tile[vectors][1](args);
  for (std::int64_t query = 0; query < block.width; ++query) {
    const float other = first[query] + keys.segment_bias[block.head];
    const bool in_first = block.first_query + query < block.first_text;
    first[query] = in_first ? 0.0F : other;
    second[query] = in_first ? other : 0.0F;
  }
  return true;
}

}  // namespace deformer
