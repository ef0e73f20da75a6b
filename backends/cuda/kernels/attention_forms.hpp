#pragma once
/// How attention's queries and keys are shared out among blocks and warps.

#include <cstdint>

namespace deformer::cuda {

/// For bf16 and f16 without relative terms (kernels/tiled_attention.cuh); which is the quicker one
/// is measured.
enum class AttentionForm : std::uint8_t {
  tall,   ///< 128 queries a block: keys are read by few blocks, for batches that fill the device
  split,  ///< 32 queries a block, its warps share the keys: for few or short sequences
  even,   ///< 64 queries a block by tiles of 64 keys: between these two
  brief,  ///< the same by tiles of 32 keys, for sequences no longer than those
};
inline constexpr AttentionForm kAttentionForms[] = {AttentionForm::tall, AttentionForm::split,
                                                    AttentionForm::even, AttentionForm::brief};
inline constexpr std::int64_t kBriefTokens = 32;
/// Wider heads have no registers for the last two.
inline constexpr std::int64_t kWidestEven = 64;

/// Sequences are cut into blocks of so many queries, a table each.
inline constexpr int kBlockQueries[] = {32, 64, 128};
inline constexpr int kBlockTables = 3;

/// Which of these tables a kernel with blocks of kQueries queries reads.
template <int kQueries>
inline constexpr int kBlockTable = kQueries / 64;
static_assert(kBlockQueries[kBlockTable<32>] == 32 && kBlockQueries[kBlockTable<64>] == 64 &&
              kBlockQueries[kBlockTable<128>] == 128);

/// Part of the names under which measured choices are remembered: to be raised when a kernel of
/// attention becomes quicker or slower.
inline constexpr int kAttentionVersion = 3;

}  // namespace deformer::cuda
