#pragma once
/// The tables that kernels read: where each row comes from, which sequences there are. Made once
/// per session on the host and lying in its device block.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cuda/host/offset.hpp"
#include "backends/cuda/kernels/args.hpp"
#include "model/config.hpp"
#include "model/plan.hpp"
#include "model/shape.hpp"

namespace deformer::cuda {

/// Places of one segment's sequences in the tables, and what is known of them.
struct SequenceTables {
  std::int64_t cumulative = -1;
  std::int64_t lengths = -1;
  std::int64_t offsets_qkv = -1;
  std::int64_t offsets_out = -1;
  std::int64_t blocks[kBlockTables] = {-1, -1, -1};
  std::int64_t block_counts[kBlockTables] = {};
  std::int64_t sequences = 0;
  std::int64_t longest = 0;
  bool uniform = false;
};

class BlockTables {
 public:
  /// `passage_ids`: index of the first passage id among the staged ids.
  void add_tokens(Segment segment, const Plan& plan, const Shape& shape, std::int64_t passage_ids);
  /// Once a segment, however often it is asked for. `width`: of a row of context.
  void add_sequences(Segment segment, const Plan& plan, const Shape& shape, std::int64_t width);
  void add_loads(const Plan& plan, const Shape& shape);
  void add_joins(const Plan& plan, const Shape& shape);
  /// The row of each pair by which it is classified.
  void add_chosen(const ModelConfig& config, const Shape& shape);

  /// The tables begin at this offset of the session's block, rounded up.
  void place(std::int64_t at) { at_ = (at + 255) / 256 * 256; }
  std::int64_t at() const { return at_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // Addresses, given the session's block.
  const TokenPlace* tokens(Segment segment, const std::byte* base) const {
    return address<TokenPlace>(base, tokens_[static_cast<std::size_t>(segment)]);
  }
  /// EmbedArgs': index of the first row's id, if all follow it.
  std::int32_t first_id(Segment segment) const {
    return first_ids_[static_cast<std::size_t>(segment)];
  }
  /// What attention must know of a segment; the rest is the caller's to fill in.
  AttentionArgs sequences(Segment segment, const std::byte* base) const;
  const RowRun* loads(const std::byte* base) const { return address<RowRun>(base, loads_); }
  std::int64_t load_count() const { return load_count_; }
  const RowRun* joins(const std::byte* base) const { return address<RowRun>(base, joins_); }
  std::int64_t join_count() const { return join_count_; }
  const std::int32_t* chosen(const std::byte* base) const {
    return address<std::int32_t>(base, chosen_);
  }

 private:
  template <class T>
  std::int64_t append(const std::vector<T>& values);
  template <class T>
  const T* address(const std::byte* base, std::int64_t offset) const {
    return reinterpret_cast<const T*>(cuda::offset(base, at_ + offset));
  }

  std::vector<std::byte> bytes_;
  std::int64_t at_ = 0;
  std::int64_t tokens_[3] = {-1, -1, -1};
  std::int32_t first_ids_[3] = {-1, -1, -1};
  SequenceTables sequences_[3];
  std::int64_t loads_ = -1;
  std::int64_t load_count_ = 0;
  std::int64_t joins_ = -1;
  std::int64_t join_count_ = 0;
  std::int64_t chosen_ = -1;
};

}  // namespace deformer::cuda
