#pragma once
/// What products want to know of the processor's caches: how much of a matrix to work on at a time,
/// and in which order to ask for what comes next.

#include <cstdint>

namespace deformer {

/// Of one core's second-level cache; 1 MiB where the system does not say (some virtual machines).
std::int64_t second_level_cache_bytes();

/// Whether weights from memory are best asked for line by line, in the order in which they lie,
/// rather than from several places of a panel in turns: on AMD. bert-base's products at 27 rows,
/// two cores of a Zen 5, 1 place / 2 / 4 / 8, GFLOP/s: f32 490, 484, 466, 468; bf16 905, 861,
/// 818, 842, of 919 where the third-level cache holds them. On a Sapphire Rapids it is the
/// other way round (NarrowArgs::kPrefetchStreams, TileArgs::kPrefetchStreams).
bool fetch_weights_in_order();

}  // namespace deformer
