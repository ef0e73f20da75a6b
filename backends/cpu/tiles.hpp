#pragma once
/// The innermost loops of every product, f32: one small block of C = A B, held in registers over
/// the whole inner dimension. Compiled for each instruction set, chosen at run time by what the
/// processor has. The drivers around them (panel_linear,
/// relative_scores) split rows and columns.

#include <cstdint>

namespace deformer {

/// Operands of one tile of `rows` x (`vectors` x lanes). Strides in floats.
struct TileArgs {
  const float* a = nullptr;  ///< element (row, k) at a[row * a_row + k * a_k]
  std::int64_t a_row = 0;
  std::int64_t a_k = 1;
  const float* b = nullptr;  ///< element (k, column) at b[k * b_k + column]
  std::int64_t b_k = 0;
  std::int64_t k = 0;  ///< inner dimension, >= 0
  float* c = nullptr;  ///< element (row, column) at c[row * c_row + column]
  std::int64_t c_row = 0;
  bool add = false;             ///< C += A B; else C = A B
  const float* bias = nullptr;  ///< added to every row, after the product; may be null
  /// What is fetched meanwhile: every `prefetch_every` steps of k one cache line of each of
  /// kPrefetchStreams streams, which begin `prefetch_stride` floats apart, the first one here, and
  /// go on by `prefetch_step` floats; may be null. In a single stream the fetches keep all line
  /// buffers waiting for memory and the stores of C wait behind them; in several, the processor's
  /// own prefetcher follows each and most of ours find their line on the way. 12 layers of
  /// bert-base at 27 rows, weights from memory, 2 threads, Sapphire Rapids: 1 stream 17.1 ms,
  /// 2 14.5, 4 12.5, 8 11.8, 16 12.1; as many lines at once of a single stream 17-19; weights in a
  /// cache 9.7.
  static constexpr int kPrefetchStreams = 8;
  const float* prefetch = nullptr;
  std::int64_t prefetch_stride = 0;
  std::int64_t prefetch_step = 16;
  std::int64_t prefetch_every = 1;
};

using Tile = void (*)(const TileArgs&);

/// The tiles of one instruction set.
struct TileSet {
  static constexpr int kMostVectors = 4;
  static constexpr int kMostRows = 14;

  const char* isa;    ///< Highway's name of the instruction set
  int lanes;          ///< floats in a vector
  int panel_vectors;  ///< vectors across a weight panel: what leaves most multiply-adds a load
  /// Rows that fit the registers beside that many vectors; index 1..kMostVectors.
  int most_rows[kMostVectors + 1];
  /// [vectors][rows]; null beyond most_rows.
  Tile tile[kMostVectors + 1][kMostRows + 1];

  std::int64_t panel_columns() const { return std::int64_t{lanes} * panel_vectors; }
};

/// Of the best instruction set this processor has.
const TileSet& tiles();

}  // namespace deformer
