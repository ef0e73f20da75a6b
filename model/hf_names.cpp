#include "model/hf_names.hpp"

#include <fmt/format.h>

namespace deformer {
namespace {

constexpr std::string_view kBertWords = "embeddings.word_embeddings.weight";
constexpr std::string_view kXlnetWords = "word_embedding.weight";

/// Where BERT keeps a role, without prefix and layer.
std::string_view bert_name(Role role) {
  switch (role) {
    case Role::word_embedding:
      return kBertWords;
    case Role::position_embedding:
      return "embeddings.position_embeddings.weight";
    case Role::type_embedding:
      return "embeddings.token_type_embeddings.weight";
    case Role::embedding_norm_weight:
      return "embeddings.LayerNorm.weight";
    case Role::embedding_norm_bias:
      return "embeddings.LayerNorm.bias";
    case Role::query_weight:
      return "attention.self.query.weight";
    case Role::query_bias:
      return "attention.self.query.bias";
    case Role::key_weight:
      return "attention.self.key.weight";
    case Role::key_bias:
      return "attention.self.key.bias";
    case Role::value_weight:
      return "attention.self.value.weight";
    case Role::value_bias:
      return "attention.self.value.bias";
    case Role::attention_out_weight:
      return "attention.output.dense.weight";
    case Role::attention_out_bias:
      return "attention.output.dense.bias";
    case Role::attention_norm_weight:
      return "attention.output.LayerNorm.weight";
    case Role::attention_norm_bias:
      return "attention.output.LayerNorm.bias";
    case Role::ffn1_weight:
      return "intermediate.dense.weight";
    case Role::ffn1_bias:
      return "intermediate.dense.bias";
    case Role::ffn2_weight:
      return "output.dense.weight";
    case Role::ffn2_bias:
      return "output.dense.bias";
    case Role::ffn_norm_weight:
      return "output.LayerNorm.weight";
    case Role::ffn_norm_bias:
      return "output.LayerNorm.bias";
    case Role::pooler_weight:
      return "pooler.dense.weight";
    case Role::pooler_bias:
      return "pooler.dense.bias";
    default:
      return "";
  }
}

/// Where XLNet keeps a role, without prefix and layer.
std::string_view xlnet_name(Role role) {
  switch (role) {
    case Role::word_embedding:
      return kXlnetWords;
    case Role::query_weight:
      return "rel_attn.q";
    case Role::key_weight:
      return "rel_attn.k";
    case Role::value_weight:
      return "rel_attn.v";
    case Role::position_weight:
      return "rel_attn.r";
    case Role::content_bias:
      return "rel_attn.r_w_bias";
    case Role::position_bias:
      return "rel_attn.r_r_bias";
    case Role::segment_bias:
      return "rel_attn.r_s_bias";
    case Role::segment_embedding:
      return "rel_attn.seg_embed";
    case Role::attention_out_weight:
      return "rel_attn.o";
    case Role::attention_norm_weight:
      return "rel_attn.layer_norm.weight";
    case Role::attention_norm_bias:
      return "rel_attn.layer_norm.bias";
    case Role::ffn1_weight:
      return "ff.layer_1.weight";
    case Role::ffn1_bias:
      return "ff.layer_1.bias";
    case Role::ffn2_weight:
      return "ff.layer_2.weight";
    case Role::ffn2_bias:
      return "ff.layer_2.bias";
    case Role::ffn_norm_weight:
      return "ff.layer_norm.weight";
    case Role::ffn_norm_bias:
      return "ff.layer_norm.bias";
    default:
      return "";
  }
}

/// The tensors that stand beside the encoder, outside its prefix; "" for the others.
std::string_view outer_name(const ModelConfig& config, Role role) {
  const bool xlnet = config.family == Family::xlnet;
  const bool span = config.head == HeadKind::span;
  const std::string_view classifier_weight = xlnet ? "logits_proj.weight" : "classifier.weight";
  const std::string_view classifier_bias = xlnet ? "logits_proj.bias" : "classifier.bias";
  switch (role) {
    case Role::head_weight:
      return span ? "qa_outputs.weight" : classifier_weight;
    case Role::head_bias:
      return span ? "qa_outputs.bias" : classifier_bias;
    case Role::pooler_weight:
      return xlnet ? "sequence_summary.summary.weight" : "";
    case Role::pooler_bias:
      return xlnet ? "sequence_summary.summary.bias" : "";
    default:
      return "";
  }
}

/// XLNet's attention keeps heads apart where ours are columns: same elements, another shape.
void take_heads_apart(const ModelConfig& config, Role role, HfTensor& tensor) {
  const std::int64_t heads = config.heads;
  const std::int64_t size = config.d_head();
  switch (role) {
    case Role::query_weight:
    case Role::key_weight:
    case Role::value_weight:
    case Role::position_weight:
      tensor.transposed = true;
      [[fallthrough]];
    case Role::attention_out_weight:
      tensor.shape = {config.d_model, heads, size};
      return;
    case Role::content_bias:
    case Role::position_bias:
    case Role::segment_bias:
      tensor.shape = {heads, size};
      return;
    case Role::segment_embedding:
      tensor.shape = {config.type_vocab_size, heads, size};
      return;
    default:
      return;
  }
}

}  // namespace

HfTensor hf_tensor(const ModelConfig& config, std::string_view prefix, TensorId id) {
  HfTensor tensor;
  tensor.shape = tensor_shape(config, id);
  if (const std::string_view outer = outer_name(config, id.role); !outer.empty()) {
    tensor.name = outer;
    return tensor;
  }
  if (config.family == Family::xlnet) {
    const std::string layer = id.layer < 0 ? "" : fmt::format("layer.{}.", id.layer);
    tensor.name = fmt::format("{}{}{}", prefix, layer, xlnet_name(id.role));
    take_heads_apart(config, id.role, tensor);
  } else {
    const std::string layer = id.layer < 0 ? "" : fmt::format("encoder.layer.{}.", id.layer);
    tensor.name = fmt::format("{}{}{}", prefix, layer, bert_name(id.role));
  }
  return tensor;
}

std::string_view hf_word_embedding(Family family) {
  return family == Family::xlnet ? kXlnetWords : kBertWords;
}

HfClassifier hf_classifier(Family family, std::string_view prefix) {
  return family == Family::xlnet
             ? HfClassifier{"logits_proj.weight", "sequence_summary.summary.weight"}
             : HfClassifier{"classifier.weight", fmt::format("{}pooler.dense.weight", prefix)};
}

}  // namespace deformer
