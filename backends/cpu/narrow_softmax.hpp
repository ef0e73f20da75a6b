#pragma once
/// What stands around the two products of narrow_attention.hpp; AVX-512 with bf16 only
/// (has_bf16_vectors of narrow_widen_avx512.hpp).

#include <cstddef>
#include <cstdint>

namespace deformer::narrow {

/// keys: `tokens` bf16 rows of d_head, `row_bytes` apart -> panels of 32 tokens, each
/// [groups][32] groups of two neighbouring elements of a token; zero beyond tokens and d_head.
void pack_keys(const std::byte* keys, std::int64_t row_bytes, std::int64_t tokens,
               std::int64_t d_head, std::int64_t groups, std::byte* panels);

/// values: the same rows -> panels of 32 columns, each [token_groups][32] groups of one column of
/// two neighbouring tokens; zero beyond tokens and d_head.
void pack_values(const std::byte* values, std::int64_t row_bytes, std::int64_t tokens,
                 std::int64_t d_head, std::int64_t token_groups, std::byte* panels);

/// scores [panel][32 rows][32 tokens] -> bf16 rows of e^(score - the row's largest), zero beyond
/// `tokens` up to whole panels, and what the row is to be multiplied by, the inverse of its sum.
/// The exponential is good to 8e-5 relative, a fiftieth of what bf16 keeps.
void softmax_rows(float* scores, std::int64_t rows, std::int64_t tokens, std::byte* out,
                  std::int64_t out_row_bytes, float* inverse_sums);

/// sums [rows][32] times the row's factor -> bf16 rows of `columns`.
void store_scaled(const float* sums, std::int64_t rows, std::int64_t columns, const float* factors,
                  std::byte* out, std::int64_t out_row_bytes);

}  // namespace deformer::narrow
