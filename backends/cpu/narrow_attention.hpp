#pragma once
/// Attention of one encoder layer in bf16 over packed sequences: products of bf16 with f32 sums,
/// softmax in f32.
///
/// A task is (sequence, head, range of queries). It packs its keys and values into panels once and
/// then takes its queries 32 at a time: scores [32, tokens] by panels of 32 keys, softmax along the
/// rows, probabilities rounded to bf16, context [32, d_head]. Queries are read and contexts written
/// where they lie. Where there are fewer (sequence, head) than keep the threads busy, their queries
/// are split and the keys packed again by each.
///
/// Where there is AMX, narrow_amx_attention.hpp does all of it but the packing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backends/cpu/narrow_tiles.hpp"
#include "backends/cpu/team.hpp"

namespace deformer {

class NarrowAttention {
 public:
  /// The best there is here, or null: bf16 tiles, and AVX-512 for what surrounds them.
  static const NarrowTiles* tiles();

  /// `cumulative`: offsets of the sequences in the packed rows, the total last.
  NarrowAttention(std::span<const std::int64_t> cumulative, std::int64_t heads, std::int64_t d_head,
                  int threads, const NarrowTiles& set);

  /// Bytes of scratch memory that `work` needs, for all threads together.
  std::int64_t scratch_bytes() const;

  /// qkv: bf16 rows of queries (already divided by sqrt(d_head)), keys, values,
  /// narrow_row_bytes(3 d, 2) apart. context: bf16 rows of d, narrow_row_bytes(d, 2) apart. Called
  /// by every worker of a team of at most `threads`; the barrier that must follow is the caller's.
  void work(const std::byte* qkv, std::byte* context, std::byte* scratch,
            const Worker& worker) const;

 private:
  struct Task {
    std::int64_t sequence_row;
    std::int64_t tokens;
    std::int64_t head;
    std::int64_t first_query;
    std::int64_t queries;
  };
  /// A thread's own buffers.
  struct Scratch {
    std::byte* keys;           ///< panels of 32 keys
    std::byte* values;         ///< panels of 32 columns of a head
    float* scores;             ///< [panel][kNarrowRows][kNarrowColumns]
    std::byte* probabilities;  ///< bf16 rows
    float* context;            ///< [kNarrowRows][kNarrowColumns]
    float* inverse_sums;       ///< [kNarrowRows]
  };

  void add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t parts);
  std::array<std::int64_t, 6> buffer_bytes() const;
  std::int64_t bytes_a_thread() const;
  Scratch cut(std::byte* own) const;
  static bool same_head(const Task& task, const Task& next);
  const std::byte* rows_of(const Task& task, const std::byte* qkv) const;
  void fetch(const Task& task, const std::byte* qkv, std::int64_t first, std::int64_t last) const;
  /// `next`: what this worker will probably do after it, or null.
  void run_task(const Task& task, const Task* next, const std::byte* qkv, std::byte* context,
                const Scratch& scratch) const;
  bool attend_by_tiles(const Task& task, const Task* next, const std::byte* qkv, std::byte* context,
                       const Scratch& scratch) const;
  void attend(const Task& task, std::int64_t query, std::int64_t queries, const std::byte* rows,
              std::byte* context, const Scratch& scratch) const;

  const NarrowTiles& set_;
  std::int64_t heads_;
  std::int64_t d_head_;
  bool tile_attention_;       ///< narrow_amx_attention.hpp does it, but for extreme scores
  std::int64_t head_groups_;  ///< of a head's columns, up to whole lines
  std::int64_t qkv_row_bytes_;
  std::int64_t context_row_bytes_;
  int threads_;
  std::int64_t longest_ = 0;
  std::vector<Task> tasks_;
};

}  // namespace deformer
