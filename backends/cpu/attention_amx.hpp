#pragma once
/// f32 attention of one head by AMX and AVX-512 at once: every factor is split into three bf16
/// parts and a product is six of the nine part products (three_parts.hpp), which makes it as
/// accurate as f32 multiply-adds at 2.6 times their rate. While the tile unit multiplies the
/// scores of the next block of 32 queries and the context of the last one, the vector unit takes
/// the exponentials of this one and splits them.
///
/// Softmax is that of the path without tiles: each row's largest score is subtracted, exponentials
/// have the error that kernels::exp_columns states and are at least 2^-126, sums are f32, the
/// division comes last. An infinity among the inputs, or a magnitude above 3.39e38, becomes NaN,
/// as NaNs do.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/attention_tiles.hpp"

namespace deformer::attention {

/// One head of one sequence, or some of its queries.
struct HeadArgs {
  const float* queries = nullptr;  ///< rows of d_head, of the whole sequence
  std::int64_t stride = 0;         ///< floats between rows
  std::int64_t apart = 0;          ///< floats from queries to keys, and from keys to values
  std::int64_t tokens = 0;         ///< of the sequence
  std::int64_t d_head = 0;
  std::int64_t first_query = 0;
  std::int64_t count = 0;    ///< of queries, at least 1
  float* context = nullptr;  ///< rows of d_head, of the whole sequence
  std::int64_t context_stride = 0;
  Fetch fetch;
};

/// Bytes of scratch memory for sequences of at most `tokens`.
std::int64_t amx_scratch_bytes(std::int64_t tokens, std::int64_t d_head);

/// context = softmax(queries keys^T) values for the `count` queries. A row's bits depend on nothing
/// but that row, keys and values. Releases the thread's tiles.
/// Only where amx_f32::use().
void attend_by_amx(const HeadArgs& args, std::byte* scratch);

}  // namespace deformer::attention
