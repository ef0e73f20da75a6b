#pragma once
/// Attention of one encoder layer over packed sequences, read in place from the fused QKV rows.
///
/// A task is (sequence, head, block of queries), so that one sequence keeps every core busy. Both
/// products and the softmax between them happen in one task, on a buffer the core's cache holds.
/// Scores are kept transposed, [keys, queries]: keys and values are then read where they lie, only
/// the few queries of the block are copied, and the softmax runs down columns with no horizontal
/// operation. The division by the softmax's sum happens as the context is stored.
///
/// XLNet's attention differs in its scores only: relative_scores.hpp.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/cpu/relative_scores.hpp"
#include "backends/cpu/team.hpp"
#include "backends/cpu/tiles.hpp"

namespace deformer {

class Attention {
 public:
  /// `cumulative`: offsets of the sequences in the packed rows, the total last. `first_texts`:
  /// tokens of each sequence's first segment, where positions are relative; else empty.
  Attention(std::span<const std::int64_t> cumulative, std::span<const std::int64_t> first_texts,
            std::int64_t heads, std::int64_t d_head, int threads);

  /// Bytes of scratch memory that `work` needs, for all threads together.
  std::int64_t scratch_bytes() const;

  /// qkv: rows of queries (already divided by sqrt(d_head)), keys, values, row_stride(3 d) floats
  /// apart. context: rows of d, row_stride(d) apart. `relative`: the layer's, where positions are
  /// relative; else null. Called by every worker of a team of at most `threads`; the barrier that
  /// must follow is the caller's.
  void work(const float* qkv, float* context, float* scratch, const RelativeKeys* relative,
            const Worker& worker) const;

 private:
  struct Task {
    std::int64_t sequence_row;  ///< first row of the sequence
    std::int64_t tokens;        ///< of the sequence
    std::int64_t first_text;    ///< of them, in the first segment
    std::int64_t first_query;
    std::int64_t queries;
    std::int64_t head;
  };
  /// A thread's own buffers.
  struct Scratch {
    float* inverse_sums;
    float* queries;      ///< [d_head, width]
    float* scores;       ///< [tokens, width]
    float* segments[2];  ///< [width] each: segment terms of keys in the first and the second text
    float* relative;
  };

  std::int64_t scratch_floats() const;
  Scratch cut(float* own) const;
  void add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t first_text);
  void run_task(const Task& task, const float* qkv, float* context, const RelativeKeys* relative,
                const Scratch& scratch) const;
  void score(const Task& task, const float* keys, std::int64_t width, const RelativeKeys* relative,
             const Scratch& scratch) const;
  void multiply_keys(const float* keys, std::int64_t count, std::int64_t width,
                     const float* queries, const float* bias, float* scores) const;
  void mix(const Task& task, const float* values, std::int64_t width, const Scratch& scratch,
           float* context) const;

  const TileSet& set_;
  std::int64_t heads_;
  std::int64_t d_head_;
  std::int64_t qkv_stride_;
  std::int64_t context_stride_;
  int threads_;
  std::int64_t longest_ = 0;
  std::optional<RelativeScores> relative_;
  std::vector<Task> tasks_;
};

}  // namespace deformer
