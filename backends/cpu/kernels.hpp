#pragma once
/// Vector kernels of our own, for what stands around the large products. Each is compiled for every
/// instruction set Highway knows on this architecture and chosen at the first call by what the
/// processor has. None allocates, and none starts threads: callers split the rows.

#include <cstdint>

namespace deformer::kernels {

/// LayerNorm's parameters, each of d floats.
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 0.0F;
};

/// x <- LayerNorm(x) for rows `stride` floats apart, in place. Mean and variance in two passes.
void normalise(float* x, std::int64_t rows, std::int64_t d, std::int64_t stride, const Norm& norm);

/// out <- LayerNorm(word + position + type): one embedded token.
void embed_row(const float* word, const float* position, const float* type, std::int64_t d,
               const Norm& norm, float* out);

/// Softmax down the columns of scores [keys, width], in steps that callers put between products.
/// `width` is a multiple of the vector length (tiles.hpp).
/// highest [width] is raised to the columns' largest scores.
void highest_of_columns(const float* scores, std::int64_t keys, std::int64_t width, float* highest);
/// Scores become exp(score - highest), at least 2^-126, within 2e-7 + 8e-8 (highest - score) of it
/// relatively; their sum is added to sums [width].
void exp_columns(float* scores, std::int64_t keys, std::int64_t width, const float* highest,
                 float* sums);

/// rows [count, columns], `stride` floats apart, to rows of whole vectors `out_stride` floats
/// apart, zero beyond `columns`.
void pack_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t columns,
               float* out, std::int64_t out_stride);

/// out [count, columns] = rows / divisors [count].
void store_quotients(const float* rows, std::int64_t stride, std::int64_t count,
                     std::int64_t columns, const float* divisors, float* out,
                     std::int64_t out_stride);

/// x <- GELU(x) for rows `stride` floats apart, in place: x Phi(x), or its tanh form
/// (Hendrycks and Gimpel, arXiv 1606.08415). Absolute error below 5e-6 and 2e-6, below 5e-7 for
/// |x| < 3. `columns` is a multiple of the vector length (tiles.hpp).
void gelu_erf(float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride);
void gelu_tanh(float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride);

float dot(const float* a, const float* b, std::int64_t count);

}  // namespace deformer::kernels
