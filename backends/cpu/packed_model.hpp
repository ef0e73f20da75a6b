#pragma once
/// All weights of a model as the CPU backend holds them: once, packed. The matrices of the layers
/// have the model's dtype; embeddings, biases, norms and heads are f32.

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/engine_choice.hpp"
#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/relative_weights.hpp"

namespace deformer {

/// What does the four products of a layer; all layers share them.
struct LayerEngines {
  std::shared_ptr<const LinearEngine> qkv;
  std::shared_ptr<const LinearEngine> attention_out;
  std::shared_ptr<const LinearEngine> ffn1;
  std::shared_ptr<const LinearEngine> ffn2;
};

/// LayerNorm parameters, [weight; bias].
struct NormWeights {
  AlignedBuffer parameters;
  kernels::Norm norm;
};

struct LayerWeights {
  /// [3 d, d]: query (with its bias, XLNet: r_w, divided by sqrt(d_head)), key, value.
  std::unique_ptr<LinearWeights> qkv;
  std::unique_ptr<LinearWeights> attention_out;
  std::unique_ptr<LinearWeights> ffn1;
  std::unique_ptr<LinearWeights> ffn2;
  NormWeights attention_norm;
  NormWeights ffn_norm;
  RelativeWeights relative;  ///< empty for BERT
};

class PackedModel {
 public:
  /// @throws BadInput from the source; std::runtime_error from oneDNN.
  PackedModel(const WeightSource& source, const LoadOptions& options, EngineChoice choice);

  const ModelConfig& config() const { return config_; }
  const LayerEngines& engines() const { return engines_; }
  const LayerWeights& layer(std::int64_t index) const {
    return layers_[static_cast<std::size_t>(index)];
  }
  std::int64_t positions() const { return positions_; }
  std::int64_t weight_bytes() const;

  /// Writes the row that a token enters the first layer with, d floats.
  void embed(std::int64_t id, std::int64_t position, std::int64_t type, float* out) const;
  /// [outputs, d] and [outputs]; the pooler's are empty without a `classes` head.
  const float* pooler_weight() const { return pooler_weight_.floats(); }
  const float* pooler_bias() const { return pooler_bias_.floats(); }
  const float* head_weight() const { return head_weight_.floats(); }
  const float* head_bias() const { return head_bias_.floats(); }

 private:
  ModelConfig config_;
  LayerEngines engines_;
  std::int64_t positions_;
  AlignedBuffer words_;
  AlignedBuffer position_table_;  ///< this and the next two are empty for XLNet
  AlignedBuffer types_;
  NormWeights embedding_norm_;
  Slab slab_;  ///< holds what layers_ refer to
  std::vector<LayerWeights> layers_;
  AlignedBuffer pooler_weight_;
  AlignedBuffer pooler_bias_;
  AlignedBuffer head_weight_;
  AlignedBuffer head_bias_;
};

}  // namespace deformer
