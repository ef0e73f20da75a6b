#pragma once
/// How Hugging Face checkpoints name and lay out the tensors of each family.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights.hpp"

namespace deformer {

/// Where a checkpoint keeps one tensor.
struct HfTensor {
  std::string name;
  std::vector<std::int64_t> shape;  ///< as stored
  /// Stored [in, out], and to be turned into our [out, in]: XLNet's query, key, value and position
  /// projections are [d_model, heads, d_head]. Its output projection has that shape too and is not
  /// turned: there d_model is what comes out.
  bool transposed = false;
};

/// The tensor of a role. `prefix` stands before everything but the head.
HfTensor hf_tensor(const ModelConfig& config, std::string_view prefix, TensorId id);

/// The name, without prefix, by which an encoder of the family is recognised.
std::string_view hf_word_embedding(Family family);

/// A `classes` head is there when both of these are: the classifier, and the layer before it, whose
/// name carries the prefix if the family's pooler belongs to the encoder.
struct HfClassifier {
  std::string_view classifier;
  std::string pooler;
};
HfClassifier hf_classifier(Family family, std::string_view prefix);

}  // namespace deformer
