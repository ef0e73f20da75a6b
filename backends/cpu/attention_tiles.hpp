#pragma once
/// The two products of f32 attention over packed keys and values (attention.hpp). Their inner
/// dimensions are short, 32 or 64 and a chunk of the sequence, so that what counts beside the
/// multiply-adds are addresses and what follows a tile: strides are known when they are compiled,
/// or constant offsets from few pointers. Compiled for each instruction set, chosen at run time.
///
/// A block of queries is up to `most_query_vectors` vectors wide; its scores lie transposed,
/// [keys, width], width being whole vectors.

#include <cstdint>

#include "backends/cpu/tiles.hpp"

namespace deformer::attention {

/// Vectors of queries in a block, at most: what leaves most multiply-adds a load.
inline std::int64_t most_query_vectors(const TileSet& set) {
  return set.most_rows[4] >= 6 ? 4 : 3;
}

/// Rows of queries, keys and values that the thread will read next, fetched into its second-level
/// cache meanwhile, some lines a tile.
struct Fetch {
  const float* queries = nullptr;
  std::int64_t count = 0;   ///< of rows
  std::int64_t stride = 0;  ///< floats between them
  std::int64_t apart = 0;   ///< floats from queries to keys, and from keys to values
  std::int64_t d_head = 0;
};

struct ScoreArgs {
  const float* keys = nullptr;  ///< rows of d_head, `key_stride` floats apart
  std::int64_t key_stride = 0;
  std::int64_t count = 0;          ///< of keys
  const float* queries = nullptr;  ///< [d_head, width]
  std::int64_t d_head = 0;
  std::int64_t width = 0;
  const float* bias = nullptr;  ///< [width], added to every key's scores; may be null
  float* scores = nullptr;      ///< [count, width]
  float* highest = nullptr;     ///< [width], raised to the largest score of each query
  Fetch fetch;
};

/// scores = keys x queries.
void score(const ScoreArgs& args);

struct MixArgs {
  const float* weights = nullptr;  ///< [count, width]
  std::int64_t width = 0;
  std::int64_t count = 0;  ///< of keys
  std::int64_t queries = 0;
  const float* values = nullptr;  ///< [count, columns]
  std::int64_t columns = 0;       ///< of values and sums: d_head up to whole vectors
  bool add = false;               ///< sums += ...; else sums = ...
  float* sums = nullptr;          ///< [queries, columns]
};

/// sums = weights^T x values.
void mix(const MixArgs& args);

}  // namespace deformer::attention
