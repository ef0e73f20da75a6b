#pragma once
/// Architecture of an encoder: the built-in ones, and the reader of Hugging Face `config.json`.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/types.hpp"

namespace deformer {

struct ModelConfig {
  std::string name;  ///< built-in name, or `basename@first 8 hex of the weights' hash`
  Family family = Family::bert;
  std::int64_t layers = 0;           ///< n
  std::int64_t d_model = 0;          ///< d
  std::int64_t heads = 0;            ///< divides d_model
  std::int64_t d_ff = 0;             ///< width of the feed-forward layer
  std::int64_t vocab_size = 0;       ///< rows of the word-embedding table
  std::int64_t max_positions = 0;    ///< rows of the position table; 0 for XLNet, which has none
  std::int64_t type_vocab_size = 2;  ///< rows of the token-type table
  double layer_norm_eps = 1e-12;
  Activation activation = Activation::gelu_erf;
  HeadKind head = HeadKind::none;
  std::int64_t classes = 2;  ///< outputs of a `classes` head; a span head has 2
  /// Seeded random weights grow their position table with the length asked for, and XLNet's is a
  /// formula; a real BERT's is as long as it is.
  bool positions_grow = false;

  std::int64_t d_head() const { return d_model / heads; }
  /// Outputs of the head per row (span) or per pair (classes); 0 without one.
  std::int64_t head_outputs() const;
  /// The token by which a `classes` head judges a sequence: BERT's first, XLNet's last, since that
  /// is where its [CLS] stands.
  bool classifies_by_last_token() const { return family == Family::xlnet; }
};

/// `bert-base bert-large xlnet-base xlnet-large minilm-l6 bert-tiny`, in this order.
const std::vector<std::string>& builtin_model_names();

/// The built-in configuration of that name (head `none`, positions_grow true), or nullopt.
std::optional<ModelConfig> builtin_model(std::string_view name);

/// Default split of the interface: max(1, floor(3n/4)) layers; bert-large (24 layers, d 1024) 20;
/// XLNet floor(2n/3).
std::int64_t default_split(const ModelConfig& config);

/// Reads a Hugging Face `config.json`. `name` and `head` are left for the checkpoint reader.
/// Every number is range-checked before use (a hostile file asks for 10^12 layers).
/// @throws BadInput naming file and field, with what was expected and found.
ModelConfig read_hf_config(const std::filesystem::path& config_json);

/// Checks the invariants every configuration must satisfy (positive sizes within sane bounds, heads
/// dividing d_model, finite eps). @throws BadInput prefixed with `where`.
void validate(const ModelConfig& config, std::string_view where);

}  // namespace deformer
