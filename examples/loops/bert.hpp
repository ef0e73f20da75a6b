#pragma once
// BERT in plain loops over f32: what a backend computes, as short as it can be said. Nothing here
// knows of plugin.h.

#include <cstdint>
#include <vector>

namespace loops {

using Floats = std::vector<float>;

struct Dense {
  Floats weight;  // [out, in]
  Floats bias;    // [out]
};

struct Norm {
  Floats weight, bias;  // [d]
};

struct Layer {
  Dense query, key, value, out, ffn1, ffn2;
  Norm attention_norm, ffn_norm;
};

struct Bert {
  std::int64_t d = 0, heads = 0, ff = 0;
  double eps = 0;
  bool gelu_tanh = false;
  Floats words, positions, types;  // [rows, d]
  Norm embedding_norm;
  std::vector<Layer> layers;
  Dense pooler, head;  // empty where the model has none
};

// Rows of some sequences, packed: sequence i is rows [offsets[i], offsets[i + 1]).
struct States {
  Floats rows;  // [tokens, d]
  std::vector<std::int64_t> offsets;
  std::int64_t tokens() const { return offsets.empty() ? 0 : offsets.back(); }
};

// Room for what a layer holds between its steps.
struct Scratch {
  Floats query, key, value, context, branch, hidden, scores;
};

// out = in weight^T + bias, `rows` rows.
void multiply(const Dense& dense, const float* in, std::int64_t rows, std::int64_t width,
              float* out);

// word + position + type, normalised, into row `row` of `states`.
void embed(const Bert& bert, std::int32_t word, std::int64_t position, std::int64_t type,
           std::int64_t row, States& states);

void encode(const Bert& bert, const Layer& layer, States& states, Scratch& scratch);

}  // namespace loops
