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
  // Of eight warps, for blocks that are too few to give a multiprocessor several: while a warp
  // waits for a product or a largest score, another one has work. By tiles of 128 keys.
  paired,    ///< 64 queries a block, two warps share the keys of 16
  fourfold,  ///< 32 queries a block, four warps share the keys of 16
  broad,     ///< 64 queries a block, four warps share the keys of 32: keys are read half as often
};
inline constexpr AttentionForm kAttentionForms[] = {
    AttentionForm::tall,   AttentionForm::split,    AttentionForm::even, AttentionForm::brief,
    AttentionForm::paired, AttentionForm::fourfold, AttentionForm::broad};
inline constexpr std::int64_t kBriefTokens = 32;
/// Wider heads have no registers for any but the first two.
inline constexpr std::int64_t kWidestEven = 64;

/// The last three are tried for sequences longer than a tile of theirs, in no more blocks of 64
/// queries than this: two for each multiprocessor of the largest devices have warps enough.
inline constexpr std::int64_t kOneTileTokens = 128;
inline constexpr std::int64_t kFewBlocks = 288;

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
inline constexpr int kAttentionVersion = 4;

}  // namespace deformer::cuda
