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

/// x <- LayerNorm(x + shift), row by row, in place. `shift` (d floats, the bias of the product that
/// wrote x) may be null. Mean and variance in two passes.
void shift_and_normalise(float* x, std::int64_t rows, std::int64_t d, const float* shift,
                         const Norm& norm);

/// out <- LayerNorm(word + position + type): one embedded token.
void embed_row(const float* word, const float* position, const float* type, std::int64_t d,
               const Norm& norm, float* out);

/// Softmax down the columns of scores [keys, width], without the division: entries become
/// exp(score - column's maximum), `inverse_sums` [width] what they are to be multiplied by.
/// `width` is a multiple of 8.
void softmax_columns(float* scores, std::int64_t keys, std::int64_t width, float* inverse_sums);

/// scores[key][query] <- sum_i queries[i][query] keys[key][i]; queries are [d_head, width], keys
/// have `stride` floats between rows. `width` is a multiple of 8.
void scores_of_block(const float* queries, const float* keys, std::int64_t stride,
                     std::int64_t count, std::int64_t d_head, std::int64_t width, float* scores);

/// out[query][i] <- sum_key scores[key][query] values[key][i], for the first `queries` queries.
void mix_values(const float* scores, const float* values, std::int64_t stride, std::int64_t count,
                std::int64_t d_head, std::int64_t width, std::int64_t queries, float* out,
                std::int64_t out_stride);

/// row <- row * factor.
void scale_row(float* row, std::int64_t count, float factor);

float dot(const float* a, const float* b, std::int64_t count);

}  // namespace deformer::kernels
