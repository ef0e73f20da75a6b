#pragma once
/// Seeded token streams: the ids of synthetic texts. Text number i has the same ids wherever it is
/// used, so the first item of a batch of 8 is the item of a batch of 1.

#include <cstdint>
#include <span>
#include <vector>

#include "model/types.hpp"

namespace deformer {

/// Ids of text `index` of a segment (question or passage), uniform in [0, vocab).
void fill_tokens(std::uint64_t seed, Segment segment, std::int64_t index, std::int64_t vocab,
                 std::span<std::int32_t> out);

/// Ids of several texts of these lengths, packed; the first has number `first_index`.
std::vector<std::int32_t> seeded_tokens(std::uint64_t seed, Segment segment,
                                        std::int64_t first_index, std::int64_t vocab,
                                        std::span<const std::int64_t> lengths);

}  // namespace deformer
