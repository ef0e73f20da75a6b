#pragma once
/// Multiply-adds of narrow numbers, bf16 or 8-bit integers, with 32-bit sums: the innermost loops
/// of products and attention in reduced precision. One implementation for each way a processor may
/// have of doing it, over one layout, so that the drivers above know none of them.
///
/// The inner dimension goes in *groups* of 4 bytes: 2 bf16 (sums are f32) or 4 integers (sums are
/// int32). Left operands are rows of groups, read where they lie; unsigned integers, 0 to 255.
/// Right operands are panels [groups][kNarrowColumns] of groups; signed integers. That is at once
/// what AMX, vdpbf16ps, vpdpbusd and vpmaddubsw want.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "model/types.hpp"

namespace deformer {

struct NarrowResults;  // narrow_results.hpp

/// Columns of a panel: two vectors of AVX-512, two AMX tiles.
inline constexpr std::int64_t kNarrowColumns = 32;
/// Most rows of one block: two AMX tiles.
inline constexpr std::int64_t kNarrowRows = 32;
/// Groups come in whole cache lines; rows and panels are padded with zeros up to there.
inline constexpr std::int64_t kLineGroups = 16;
inline constexpr std::int64_t kGroupBytes = 4;
/// Bytes from one row of a panel, or of a block's sums, to the next.
inline constexpr std::int64_t kPanelRowBytes = kNarrowColumns * kGroupBytes;

inline constexpr std::int64_t kLineBytes = 64;

/// Cache lines [first, last), counted from where fetching begins.
struct FetchedRun {
  std::int64_t first;
  std::int64_t last;
};

struct NarrowArgs {
  const std::byte* a = nullptr;  ///< first row
  std::int64_t a_row_bytes = 0;
  const std::byte* b = nullptr;  ///< panel, 64-byte aligned
  std::int64_t groups = 0;       ///< a multiple of kLineGroups
  std::int64_t rows = 0;         ///< 1 to kNarrowRows
  void* sums = nullptr;          ///< [rows][kNarrowColumns], f32 or int32; 64-byte aligned
  bool add = false;              ///< to what `sums` holds; else it is overwritten
  /// Cache lines fetched meanwhile: for every kLineGroups groups
  /// `prefetch_lines` of each of kPrefetchStreams streams, which begin `prefetch_stride` bytes
  /// apart, the first one here, and go on by `prefetch_step` bytes; null for none. Fetches of a
  /// single stream hold the core's line buffers while memory answers, and the tiles' loads wait
  /// behind them; in several, the processor's own prefetcher runs ahead in each. Products of
  /// bert-base in bf16, weights from memory, two cores of a Sapphire Rapids, 1 stream / 2 / 4 / 8 /
  /// 16: 22.5, 25.8, 27.0, 27.8 and 26 GB/s at 27 rows; a core that does nothing else fetches 16
  /// GB/s in one and 22 in four.
  static constexpr std::int64_t kPrefetchStreams = 8;
  const std::byte* prefetch = nullptr;
  std::int64_t prefetch_stride = 0;
  std::int64_t prefetch_step = kLineBytes;
  std::int64_t prefetch_lines = 0;
  /// What will be written where these sums belong, a part of each row; null for nothing. A loop may
  /// fetch it meanwhile as memory that is going to be written.
  const std::byte* results = nullptr;
  std::int64_t result_row_bytes = 0;
  std::int64_t result_lines = 0;  ///< of each row
  /// Results of another block that are written meanwhile, all of them, unless null: vector work
  /// that has nothing to do with this block and fills what the multiplications leave idle. Its sums
  /// are read before the first of this block's is stored: both may lie in the same place.
  const NarrowResults* due = nullptr;

  std::int64_t steps() const { return groups / kLineGroups; }
  /// Where streams are every kPrefetchStreams-th line, all lines are a run: what falls to the
  /// index-th of `parts` that share it out.
  FetchedRun fetched_run(std::int64_t index, std::int64_t parts) const {
    if (prefetch == nullptr) {
      return {0, 0};
    }
    const auto lines = static_cast<std::uint32_t>(fetched_lines() * steps());
    const auto each = static_cast<std::int64_t>(  // of 32 bits: quicker
        (lines + static_cast<std::uint32_t>(parts) - 1) / static_cast<std::uint32_t>(parts));
    return {std::min<std::int64_t>(lines, each * index),
            std::min<std::int64_t>(lines, each * (index + 1))};
  }
  /// Lines to be fetched in a step, and where the index-th of them lies.
  std::int64_t fetched_lines() const { return kPrefetchStreams * prefetch_lines; }
  const std::byte* fetched(std::int64_t step, std::int64_t index) const {
    return prefetch + index % kPrefetchStreams * prefetch_stride +
           (step * prefetch_lines + index / kPrefetchStreams) * prefetch_step;
  }
};

struct NarrowTiles {
  const char* isa;  ///< "amx_bf16", "avx512_bf16", "amx_int8", "avx512_vnni", "avx_vnni", "avx2"
  DType dtype;      ///< bf16 or int8
  /// Largest magnitude of a right operand for which every sum of one group is exact whatever the
  /// left one: 127, or 64 where two products are added in 16 bits that saturate (2 x 255 x 64 =
  /// 32640, Intel SDM, VPMADDUBSW). 0 for bf16.
  int most_weight;
  /// To be called by a thread before its first `multiply`, and after its last.
  void (*begin)();
  void (*end)();
  void (*multiply)(const NarrowArgs& args);
  /// Groups a panel should have in one call where many rows meet it, at most; a multiple of
  /// kLineGroups. By default 24 KiB of it, for a first-level cache of 32.
  std::int64_t most_groups = 192;
  /// What comes next is fetched in the order in which it lies: the streams are then every
  /// kPrefetchStreams-th line. AVX-512 does where fetch_weights_in_order, 256-bit loops always, AMX
  /// never.
  bool fetches_in_order = false;
};

/// What this processor has for a dtype, the fastest first; empty when it has none.
std::span<const NarrowTiles> narrow_tiles(DType dtype);

/// Why narrow_tiles(dtype) is empty: what is needed and what the processor lacks.
std::string why_no_narrow_tiles(DType dtype);

/// Bytes from one row to the next of rows with `columns` elements of `element_bytes` bytes: whole
/// cache lines that hold whole panels, and an odd number of them, so that the 32 rows a block reads
/// together spread over all sets of the first-level cache. (Rows of 768 bf16, 24 lines apart, share
/// 8 sets: 3.0 instead of 3.5 TFLOP/s on two cores of a Sapphire Rapids.)
std::int64_t narrow_row_bytes(std::int64_t columns, std::int64_t element_bytes);

}  // namespace deformer
