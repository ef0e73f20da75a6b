#pragma once
/// Where a model's weights come from, one tensor at a time, so that a backend can pack them without
/// a second copy of the whole model ever being held.
/// Matrices are row-major [out, in], as Hugging Face stores them: y = x W^T + b.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.hpp"

namespace deformer {

enum class Role {
  word_embedding,         ///< [vocab, d]
  position_embedding,     ///< [max_positions, d] (see `read_rows`)
  type_embedding,         ///< [type_vocab, d]
  embedding_norm_weight,  ///< [d]
  embedding_norm_bias,    ///< [d]
  query_weight,
  query_bias,
  key_weight,
  key_bias,
  value_weight,
  value_bias,         ///< [d, d], [d]; XLNet has no biases here, nor on attention_out
  position_weight,    ///< [d, d]; XLNet: projects the table of relative positions
  content_bias,       ///< [d]; XLNet's r_w, added to a query that meets a key
  position_bias,      ///< [d]; XLNet's r_r, added to a query that meets a relative position
  segment_bias,       ///< [d]; XLNet's r_s, added to a query that meets a segment embedding
  segment_embedding,  ///< [2, d]; XLNet: query and key in the same segment, in two segments
  attention_out_weight,
  attention_out_bias,  ///< [d, d], [d]
  attention_norm_weight,
  attention_norm_bias,  ///< [d]
  ffn1_weight,
  ffn1_bias,  ///< [d_ff, d], [d_ff]
  ffn2_weight,
  ffn2_bias,  ///< [d, d_ff], [d]
  ffn_norm_weight,
  ffn_norm_bias,  ///< [d]
  pooler_weight,
  pooler_bias,  ///< [d, d], [d]; only with a `classes` head
  head_weight,
  head_bias,  ///< [2 or classes, d], [2 or classes]
};

struct TensorId {
  Role role;
  std::int64_t layer = -1;  ///< 0-based; -1 for what belongs to no layer
  bool operator==(const TensorId&) const = default;
};

/// "layer 3 query_weight", for messages.
std::string to_string(TensorId id);

/// Shape of a tensor as the configuration implies it.
std::vector<std::int64_t> tensor_shape(const ModelConfig& config, TensorId id);

/// Every tensor that a model of this configuration needs, embeddings first, then layer by layer,
/// then pooler and head.
std::vector<TensorId> needed_tensors(const ModelConfig& config);

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;

  const ModelConfig& config() const { return config_; }

  /// Fills `out` with the whole tensor in f32. `out.size()` is the product of `tensor_shape`.
  /// Safe to call from several threads at once.
  /// @throws std::invalid_argument for a tensor the model lacks or room of another size (a bug of
  /// the caller); BadInput for a checkpoint's value that is not finite.
  void read(TensorId id, std::span<float> out) const;

  /// Rows [first, first + out.size()/d) of an embedding table (word, position, type). For a model
  /// with `positions_grow` the position table has as many rows as anybody asks for.
  void read_rows(Role table, std::int64_t first, std::span<float> out) const;

  /// Identifies the weights: hex SHA-256 of the checkpoint file; for seeded weights "seed:N".
  const std::string& hash() const { return hash_; }
  /// What was noticed while opening: tensors that are not needed, a prefix that was stripped.
  const std::vector<std::string>& notes() const { return notes_; }

 protected:
  WeightSource(ModelConfig config, std::string hash)
      : config_(std::move(config)), hash_(std::move(hash)) {}
  virtual void do_read(TensorId id, std::int64_t first_element, std::span<float> out) const = 0;

  ModelConfig config_;
  std::string hash_;
  std::vector<std::string> notes_;
};

/// Seeded random weights, bit-identical on every machine and compiler: a counter-based generator in
/// integer arithmetic, one stream per tensor, so any element can be made alone. Matrices have mean
/// 0 and the BERT initialiser's deviation; LayerNorm weights, all biases and XLNet's segment
/// embeddings lie visibly away from 1 and 0, so that dropping one shows.
std::unique_ptr<WeightSource> random_weights(const ModelConfig& config, std::uint64_t seed);

/// Opens `config_dir/config.json` and `weights_dir/model.safetensors` in the Hugging Face layout.
/// Tensor names may carry the prefix `bert.`, `transformer.` or `model.` or none, and LayerNorm may
/// be spelled gamma/beta. The head is `span` if `qa_outputs` is there, `classes` if pooler and
/// `classifier` are (XLNet: `sequence_summary.summary` and `logits_proj`), else `none`. Tensors
/// that are not needed become one note, whatever their dtype. Values are checked to be finite when
/// they are read. `config().name` becomes `basename@first 8 hex of the weights' hash`.
/// @throws BadInput naming the file and the tensor: missing ones, wrong dtype or shape, NaN.
std::unique_ptr<WeightSource> open_checkpoint(const std::filesystem::path& config_dir,
                                              const std::filesystem::path& weights_dir);

}  // namespace deformer
