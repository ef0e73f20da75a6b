#pragma once
/// Attention of one encoder layer over packed sequences, read in place from the fused QKV rows.
///
/// A task is (sequence, head, block of queries), so that one sequence keeps every core busy. Both
/// products and the softmax between them happen in one task, on a buffer the thread's cache holds.
/// Scores are kept transposed, [keys, queries]: keys and values are then read where they lie, only
/// the few queries of the block are copied, and the softmax runs down columns with no horizontal
/// operation. The products are libxsmm's generated kernels; where it has none, Highway loops.

#include <cstdint>
#include <span>
#include <vector>

namespace deformer {

enum class AttentionProducts { generated, portable };

class Attention {
 public:
  /// `cumulative`: offsets of the sequences in the packed rows, the total last.
  Attention(std::span<const std::int64_t> cumulative, std::int64_t heads, std::int64_t d_head,
            int threads, AttentionProducts products = AttentionProducts::generated);

  /// Bytes of scratch memory that `run` needs, for all threads together.
  std::int64_t scratch_bytes() const;

  /// qkv [rows, 3 d]: queries (already divided by sqrt(d_head)), keys, values. context [rows, d].
  void run(const float* qkv, float* context, float* scratch) const;

 private:
  using Product = void (*)(const float*, const float*, float*, ...);
  struct Task {
    std::int64_t sequence_row;  ///< first row of the sequence
    std::int64_t tokens;
    std::int64_t first_query;  ///< within the sequence
    std::int64_t queries;
    std::int64_t head;
    Product scores;  ///< null: the portable loops
    Product mix;
  };

  void add_sequence(std::int64_t row, std::int64_t tokens, AttentionProducts products);
  void run_task(const Task& task, const float* qkv, float* context, float* scratch) const;

  std::int64_t heads_;
  std::int64_t d_head_;
  int threads_;
  std::int64_t longest_ = 0;
  std::vector<Task> tasks_;
};

}  // namespace deformer
