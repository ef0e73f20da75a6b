#pragma once
/// Attention of one encoder layer over packed sequences, read in place from the fused QKV rows.
///
/// A task is (sequence, head, some of its blocks of queries): as many blocks as leave every thread
/// several tasks, since keys and values, written by all cores a moment ago, are first copied to
/// where the thread's own cache holds them in one piece. Both products and the softmax between them
/// happen in one task. Scores are kept transposed, [keys, queries]: keys and values then need no
/// transposing, only the queries of a block, and the softmax runs down columns with no horizontal
/// operation. Exponentials are taken of a chunk of keys at a time, just before it is multiplied
/// with their values; the division by their sum happens as the context is stored.
///
/// XLNet's attention differs in its scores only: relative_scores.hpp. Where there is AMX,
/// sequences that are long enough for it are attention_amx.hpp's otherwise.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/cpu/attention_tiles.hpp"
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
    std::int64_t head;
    std::int64_t first_block;  ///< of queries
    std::int64_t last_block;   ///< one past
  };
  struct Block {
    std::int64_t first_query;
    std::int64_t queries;
    std::int64_t width;  ///< queries up to whole vectors
  };
  /// A thread's own buffers.
  struct Scratch {
    float* keys;         ///< [tokens, d_head]
    float* values;       ///< [tokens, columns_]
    float* queries;      ///< [d_head, width]
    float* scores;       ///< [tokens, width]
    float* context;      ///< [queries, columns_]
    float* highest;      ///< [width]: largest scores
    float* sums;         ///< [width], of exponentials
    float* segments[2];  ///< [width] each: segment terms of keys in the first and the second text
    float* relative;
  };

  std::int64_t scratch_floats() const;
  Scratch cut(float* own) const;
  void add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t first_text,
                    std::int64_t parts);
  bool by_amx(std::int64_t tokens) const;
  std::int64_t blocks(std::int64_t tokens) const;
  Block block(std::int64_t tokens, std::int64_t index) const;
  void run_task(const Task& task, const Task* next, const float* qkv, float* context,
                const RelativeKeys* relative, const Scratch& scratch) const;
  void run_by_amx(const Task& task, const Task* next, const float* qkv, float* context,
                  float* scratch) const;
  attention::Fetch fetch(const Task& task, std::int64_t index, const Task& next,
                         const float* qkv) const;
  void score_relative(const Task& task, const Block& block, const RelativeKeys& relative,
                      const Scratch& scratch) const;
  void multiply_keys(std::int64_t first, std::int64_t count, const Block& block, const float* bias,
                     const Scratch& scratch, const attention::Fetch& fetch) const;
  void mix(std::int64_t tokens, const Block& block, const Scratch& scratch, float* context) const;

  const TileSet& set_;
  std::int64_t heads_;
  std::int64_t d_head_;
  std::int64_t columns_;  ///< d_head up to whole vectors
  std::int64_t qkv_stride_;
  std::int64_t context_stride_;
  bool has_amx_;  ///< and no relative positions
  int threads_;
  std::int64_t longest_ = 0;  ///< of the sequences that AMX does not serve
  std::int64_t longest_by_amx_ = 0;
  std::optional<RelativeScores> relative_;
  std::vector<Task> tasks_;
};

}  // namespace deformer
