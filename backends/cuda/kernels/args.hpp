#pragma once
/// What kernels are told. Rows lie d elements apart, d a multiple of 4; all pointers are to memory
/// of whoever runs the kernel: a device, or the host in tests.

#include <cstddef>
#include <cstdint>

#include "backends/cuda/host/element.hpp"
#include "backends/cuda/kernels/attention_forms.hpp"
#include "model/types.hpp"

namespace deformer::cuda {

/// Where a row to embed comes from.
struct TokenPlace {
  std::int32_t id_at;  ///< in the staged ids
  std::int32_t position;
  std::int32_t type;
};

/// A run of rows: into the joint rows, from another segment's, or decoded from a cached passage.
struct RowRun {
  std::int32_t source;  ///< join: 0 questions, 1 passages, 2 joint rows; decode: which passage
  std::int32_t source_row;
  std::int32_t target_row;
  std::int32_t rows;
};

/// Up to as many queries of one sequence as its table's blocks have (attention_forms.hpp).
struct QueryBlock {
  std::int32_t first_row;  ///< of the sequence, in the packed rows
  std::int32_t tokens;     ///< of the sequence
  std::int32_t first_text;
  std::int32_t first_query;  ///< its place in the sequence
};

struct QueryBlocks {
  const QueryBlock* block;
  std::int64_t count;
};

/// LayerNorm parameters [weight; bias], 2 d floats.
struct Norm {
  const float* parameters;
  float eps;
};

/// Embeds rows; without a norm (XLNet) a row is its word's. Ids may lie in the host's memory, where
/// reading one takes longer than all else: `first_id` spares a row the wait for its TokenPlace.
struct EmbedArgs {
  Element element;
  std::int64_t rows;
  std::int64_t d;
  const std::int32_t* ids;
  const TokenPlace* tokens;
  std::int32_t first_id;  ///< row r's id is at first_id + r; -1: where its TokenPlace says
  const void* words;
  const void* positions;
  const void* types;
  Norm norm;
  void* out;
  std::int64_t padding = 0;  ///< of d, elements at the end that are none of the model's: zeros
};

/// hidden = LayerNorm(hidden + delta); with `quantised`, also to e4m3, divided by `scale`.
struct NormArgs {
  Element element;
  std::int64_t rows;
  std::int64_t d;
  Norm norm;
  void* hidden;
  void* quantised;
  const float* scale;  ///< of `quantised`, what its values are to be multiplied by to come back
  const void* delta = nullptr;  ///< rows as hidden's; null: a product added onto them before
  std::int64_t padding = 0;     ///< as EmbedArgs'
};

/// Activation of `count` elements (a multiple of 4): in place, or to e4m3.
struct GeluArgs {
  Element element;
  Activation activation;
  std::int64_t count;
  void* values;
  void* quantised;  ///< null: in place
  const float* scale;
};

/// To e4m3, `count` a multiple of 4.
struct QuantiseArgs {
  Element element;
  std::int64_t count;
  const void* from;
  void* quantised;
  const float* scale;
};

/// Cached passages (cache/codec_rows.hpp), of d - padding elements a row, into rows.
struct DecodeArgs {
  Element element;
  DType stored;
  std::int64_t runs;
  std::int64_t d;
  std::int64_t row_bytes;
  const RowRun* run;
  const std::byte* const* passages;
  void* out;
  std::int64_t padding = 0;  ///< as EmbedArgs'
};

struct JoinArgs {
  Element element;
  std::int64_t runs;
  std::int64_t d;
  const RowRun* run;
  const void* questions;
  const void* passages;  ///< null where they were decoded into the joint rows
  void* joint;
};

/// Copies as f32, `count` a multiple of 4.
struct WidenArgs {
  Element element;
  std::int64_t count;
  const void* from;
  float* out;
};

/// out[row, o] = dot(from[chosen row], weight[o]) + bias[o], through tanh if asked: heads, in f32.
struct DenseArgs {
  Element element;
  std::int64_t rows;
  std::int64_t d;
  std::int64_t outputs;
  const void* from;
  const std::int32_t* chosen;  ///< row `row` is from's row chosen[row]; null: the same
  const float* weight;         ///< [outputs, d]
  const float* bias;
  bool tanh;
  float* out;  ///< [rows, outputs]
};

/// XLNet's positions and segments of one layer; backends/cpu/relative_scores.hpp has the formula.
struct RelativeTerms {
  std::int64_t reach;         ///< distances reach, reach - 1, ... -reach
  const void* keys;           ///< [heads, 2 reach + 1, d_head] of the activations' element
  const float* key_bias;      ///< [heads, 2 reach + 1]
  const float* segments;      ///< [heads, d_head]
  const float* segment_bias;  ///< [heads]
};

struct AttentionArgs {
  Element element;
  std::int64_t rows;
  std::int64_t sequences;
  std::int64_t longest;
  std::int64_t heads;
  std::int64_t d_head;
  const void* qkv;  ///< rows of queries (already divided by sqrt(d_head)), keys, values
  void* context;
  const std::int32_t* cumulative;   ///< sequences + 1 offsets of the packed rows
  const std::int32_t* lengths;      ///< of the sequences
  const std::int32_t* offsets_qkv;  ///< cumulative, in elements of qkv and of context
  const std::int32_t* offsets_out;
  QueryBlocks blocks[kBlockTables];
  bool uniform;            ///< all sequences are `longest`
  RelativeTerms relative;  ///< keys null for BERT
  AttentionForm form;      ///< of the kernel, where it has them
};

}  // namespace deformer::cuda
