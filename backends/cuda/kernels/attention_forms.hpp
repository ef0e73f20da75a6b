#pragma once
/// How attention's queries and keys are shared out among blocks and warps.

#include <cstdint>

namespace deformer::cuda {

/// For bf16 and f16 without relative terms (kernels/tiled_attention.cuh); which is the quicker one
/// is measured.
enum class AttentionForm : std::uint8_t {
  tall,   ///< 128 queries a block: keys are read by few blocks, for batches that fill the device
  split,  ///< 32 queries a block, its warps share the keys: for few or short sequences
};

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
inline constexpr int kAttentionVersion = 2;

}  // namespace deformer::cuda
