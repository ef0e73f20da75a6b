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
  broad,  ///< 64 queries a block of eight warps, four of which share the keys of 32: keys are read
          ///< half as often; by tiles of 128 keys, for longer sequences in few blocks
};
inline constexpr AttentionForm kAttentionForms[] = {AttentionForm::tall, AttentionForm::split,
                                                    AttentionForm::even, AttentionForm::brief,
                                                    AttentionForm::broad};
inline constexpr std::int64_t kBriefTokens = 32;
/// Wider heads have no registers for any but the first two.
inline constexpr std::int64_t kWidestEven = 64;

/// `broad` is tried for sequences longer than a tile of its keys, in no more blocks than this: two
/// for each multiprocessor of the largest devices have warps enough. (H100, 12 heads of 64: of 384
/// tokens 7.05 us, `even` 7.16; of 320, which leave half its third tile empty, 6.67 and 6.24. Eight
/// warps that share the keys of 16 queries each, in twos or fours, took 7.75 and 8.74.)
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
inline constexpr int kAttentionVersion = 5;

}  // namespace deformer::cuda
