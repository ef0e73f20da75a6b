#pragma once
/// The same as the functions of narrow_rows.hpp, by AVX-512 with its conversion to bf16: a panel's
/// 32 columns are two vectors, whose biases and scales stay in registers down the rows. With AMX
/// what follows a product costs a quarter of it otherwise (320 x 3072 x 768, GELU: 200 of 670 us).

#include "backends/cpu/narrow_rows.hpp"

namespace deformer::narrow {

/// Whether the processor can run the rest.
bool has_bf16_vectors();
/// Whether they are used in place of narrow_rows.hpp: where the processor has them, unless a test
/// asked for what other processors do.
bool use_bf16_vectors();
/// For tests, while no other thread computes: `false` makes use_bf16_vectors() false everywhere.
void allow_bf16_vectors(bool allowed);

void widen_added(const kernels::NarrowSums& from, float* out, std::int64_t stride);
void widen_to_bf16(const kernels::NarrowSums& from, NarrowActivation activation, std::byte* out,
                   std::int64_t out_row_bytes);
void to_bf16(const kernels::WideRows& from, std::byte* out, std::int64_t out_row_bytes);

}  // namespace deformer::narrow
