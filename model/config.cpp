#include "model/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/error.hpp"
#include "model/json_input.hpp"

namespace deformer {
namespace {

using nlohmann::json;

struct Range {
  std::int64_t low;
  std::int64_t high;
};

// Far above any model there is, and small enough that no product of two sizes leaves 64 bits.
constexpr Range kLayers{1, 1024};
constexpr Range kWidth{1, 65'536};
constexpr Range kFeedForward{1, 1'048'576};
constexpr Range kVocabulary{1, 10'000'000};
constexpr Range kPositions{1, 1'048'576};
constexpr Range kTypes{2, 1024};  // the second text carries token type 1
constexpr Range kClasses{1, 1'000'000};
constexpr std::int64_t kMaxConfigBytes = 16 << 20;

/// How a family's `config.json` calls what all configurations have.
struct Keys {
  const char* layers;
  const char* d_model;
  const char* heads;
  const char* d_ff;
  const char* activation;
};
constexpr Keys kBertKeys{"num_hidden_layers", "hidden_size", "num_attention_heads",
                         "intermediate_size", "hidden_act"};
constexpr Keys kXlnetKeys{"n_layer", "d_model", "n_head", "d_inner", "ff_activation"};

ModelConfig builtin(std::string name, Family family, std::int64_t layers, std::int64_t d_model,
                    std::int64_t heads) {
  const bool bert = family == Family::bert;
  ModelConfig config;
  config.name = std::move(name);
  config.family = family;
  config.layers = layers;
  config.d_model = d_model;
  config.heads = heads;
  config.d_ff = 4 * d_model;
  config.vocab_size = bert ? 30'522 : 32'000;
  config.max_positions = bert ? 512 : 0;
  config.positions_grow = true;
  return config;
}

const std::vector<ModelConfig>& builtin_models() {
  static const std::vector<ModelConfig> models = {
      builtin("bert-base", Family::bert, 12, 768, 12),
      builtin("bert-large", Family::bert, 24, 1024, 16),
      builtin("xlnet-base", Family::xlnet, 12, 768, 12),
      builtin("xlnet-large", Family::xlnet, 24, 1024, 16),
      builtin("minilm-l6", Family::bert, 6, 384, 12),
      builtin("bert-tiny", Family::bert, 2, 128, 2)};
  return models;
}

/// The fields of one `config.json`, each checked as it is taken.
class Fields {
 public:
  Fields(const json& root, std::string file) : root_(root), file_(std::move(file)) {}

  [[noreturn]] void fail(std::string_view field, std::string_view expected) const {
    const auto found = root_.find(field);
    throw BadInput(fmt::format("{}: field {}: expected {}, found {}", file_, in_quotes(field),
                               expected, found == root_.end() ? "nothing" : describe(*found)));
  }

  std::int64_t integer(const char* field, Range range) const {
    const auto found = root_.find(field);
    // An unsigned number may exceed int64; asking for it unsigned keeps the comparison honest.
    if (found == root_.end() || !found->is_number_unsigned() ||
        found->get<std::uint64_t>() < static_cast<std::uint64_t>(range.low) ||
        found->get<std::uint64_t>() > static_cast<std::uint64_t>(range.high)) {
      fail(field, fmt::format("an integer in {}..{}", range.low, range.high));
    }
    return found->get<std::int64_t>();
  }

  std::int64_t integer_or(const char* field, Range range, std::int64_t absent) const {
    return root_.contains(field) ? integer(field, range) : absent;
  }

  double epsilon_or(const char* field, double absent) const {
    const auto found = root_.find(field);
    if (found == root_.end()) return absent;
    if (!found->is_number()) fail(field, "a number > 0 and <= 1");
    const double value = found->get<double>();
    if (!(value > 0 && value <= 1)) fail(field, "a number > 0 and <= 1");
    return value;
  }

  std::string text(const char* field, std::string_view expected) const {
    const auto found = root_.find(field);
    if (found == root_.end() || !found->is_string()) fail(field, expected);
    return found->get<std::string>();
  }

  /// An optional field that must hold one value, because another would mean another computation.
  void require_if_present(const char* field, const json& value) const {
    if (root_.contains(field) && root_.at(field) != value) {
      fail(field, describe(value) + ", the only supported value,");
    }
  }

 private:
  const json& root_;
  std::string file_;
};

Family read_family(const Fields& fields) {
  constexpr const char* kExpected = "\"bert\" or \"xlnet\", the supported architectures";
  const std::string type = fields.text("model_type", kExpected);
  if (type == "bert") return Family::bert;
  if (type == "xlnet") return Family::xlnet;
  fields.fail("model_type", kExpected);
}

Activation read_activation(const Fields& fields, const char* field) {
  constexpr const char* kExpected =
      "\"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\" or \"gelu_tanh\"";
  const std::string name = fields.text(field, kExpected);
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_tanh") {
    return Activation::gelu_tanh;
  }
  fields.fail(field, kExpected);
}

void require_range(std::string_view where, std::string_view what, std::int64_t value, Range range) {
  if (value < range.low || value > range.high) {
    throw BadInput(fmt::format("{}: {}: expected {}..{}, found {}", where, what, range.low,
                               range.high, value));
  }
}

}  // namespace

const std::vector<std::string>& builtin_model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const ModelConfig& model : builtin_models()) all.push_back(model.name);
    return all;
  }();
  return names;
}

std::optional<ModelConfig> builtin_model(std::string_view name) {
  const auto& models = builtin_models();
  const auto found = std::ranges::find(models, name, &ModelConfig::name);
  return found == models.end() ? std::nullopt : std::optional(*found);
}

std::int64_t default_split(const ModelConfig& config) {
  const std::int64_t n = config.layers;
  if (config.family == Family::xlnet) return 2 * n / 3;
  if (n == 24 && config.d_model == 1024) return 20;
  return std::max<std::int64_t>(1, 3 * n / 4);
}

ModelConfig read_hf_config(const std::filesystem::path& config_json) {
  const std::string file = config_json.string();
  const json root = parse_json_object(read_text_file(config_json, kMaxConfigBytes), file);
  const Fields fields(root, file);

  ModelConfig config;
  config.family = read_family(fields);
  const bool bert = config.family == Family::bert;
  const Keys& keys = bert ? kBertKeys : kXlnetKeys;
  config.layers = fields.integer(keys.layers, kLayers);
  config.d_model = fields.integer(keys.d_model, kWidth);
  config.heads = fields.integer(keys.heads, kWidth);
  if (config.d_model % config.heads != 0) {
    fields.fail(keys.heads,
                fmt::format("a divisor of {} ({})", in_quotes(keys.d_model), config.d_model));
  }
  config.d_ff = fields.integer(keys.d_ff, kFeedForward);
  config.activation = read_activation(fields, keys.activation);
  config.vocab_size = fields.integer("vocab_size", kVocabulary);
  config.layer_norm_eps = fields.epsilon_or("layer_norm_eps", 1e-12);
  if (bert) {
    config.max_positions = fields.integer("max_position_embeddings", kPositions);
    config.type_vocab_size = fields.integer_or("type_vocab_size", kTypes, 2);
    fields.require_if_present("position_embedding_type", "absolute");
    fields.require_if_present("is_decoder", false);
  } else {
    config.positions_grow = true;
    fields.require_if_present("d_head", config.d_head());
    fields.require_if_present("attn_type", "bi");
    fields.require_if_present("bi_data", false);
    fields.require_if_present("clamp_len", -1);
    fields.require_if_present("summary_type", "last");
    fields.require_if_present("summary_activation", "tanh");
    fields.require_if_present("summary_use_proj", true);
  }
  validate(config, file);
  return config;
}

void validate(const ModelConfig& config, std::string_view where) {
  require_range(where, "layers", config.layers, kLayers);
  require_range(where, "d_model", config.d_model, kWidth);
  require_range(where, "heads", config.heads, kWidth);
  require_range(where, "d_ff", config.d_ff, kFeedForward);
  require_range(where, "vocab_size", config.vocab_size, kVocabulary);
  require_range(where, "max_positions", config.max_positions,
                config.family == Family::bert ? kPositions : Range{0, 0});
  require_range(where, "type_vocab_size", config.type_vocab_size, kTypes);
  require_range(where, "classes", config.classes, kClasses);
  if (config.d_model % config.heads != 0) {
    throw BadInput(fmt::format("{}: heads: expected a divisor of d_model ({}), found {}", where,
                               config.d_model, config.heads));
  }
  if (!(config.layer_norm_eps > 0 && config.layer_norm_eps <= 1)) {
    throw BadInput(fmt::format("{}: layer_norm_eps: expected a number > 0 and <= 1, found {}",
                               where, config.layer_norm_eps));
  }
}

std::int64_t ModelConfig::head_outputs() const {
  switch (head) {
    case HeadKind::none:
      return 0;
    case HeadKind::span:
      return 2;
    case HeadKind::classes:
      return classes;
  }
  return 0;
}

}  // namespace deformer
