#include "backends/cpu/packed_model.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "backends/cpu/narrow_attention.hpp"
#include "backends/cpu/parallel.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

/// Whether attention can be done in bf16: BERT's, by heads that fill whole groups, of rows that
/// fill whole lines. XLNet's positions are added to f32 scores, so its attention stays f32.
bool narrow_attention_fits(const ModelConfig& config) {
  return config.family == Family::bert && NarrowAttention::tiles() != nullptr &&
         config.d_model % kNarrowColumns == 0 && config.d_head() % 2 == 0;
}

LayerEngines layer_engines(const ModelConfig& config, const LoadOptions& options,
                           EngineChoice choice) {
  const bool narrow = options.dtype != DType::f32;
  const auto engine = [&](LinearKind kind,
                          bool narrow_result) -> std::shared_ptr<const LinearEngine> {
    if (!narrow) {
      return choose_engine(kind, options.threads, choice, options.store);
    }
    kind.dtype = options.dtype;
    kind.narrow_result = narrow_result;
    return make_narrow_engine(kind, narrow_tiles(options.dtype).front());
  };
  const std::int64_t d = config.d_model;
  const Epilogue gelu = config.activation == Activation::gelu_erf ? Epilogue::bias_gelu_erf
                                                                  : Epilogue::bias_gelu_tanh;
  return {.qkv = engine({.in = d, .out = 3 * d, .epilogue = Epilogue::bias},
                        narrow_attention_fits(config)),
          .attention_out = engine({.in = d, .out = d, .epilogue = Epilogue::residual}, false),
          .ffn1 = engine({.in = d, .out = config.d_ff, .epilogue = gelu}, true),
          .ffn2 = engine({.in = config.d_ff, .out = d, .epilogue = Epilogue::residual}, false)};
}

AlignedBuffer read_tensor(const WeightSource& source, TensorId id, std::int64_t elements) {
  AlignedBuffer buffer(elements * kFloatBytes);
  source.read(id, {buffer.floats(), static_cast<std::size_t>(elements)});
  return buffer;
}

/// Rows are read in blocks by all threads: the word table is a fifth of a model.
AlignedBuffer read_table(const WeightSource& source, Role table, std::int64_t rows, std::int64_t d,
                         int threads) {
  constexpr std::int64_t kBlockRows = 512;
  AlignedBuffer buffer(rows * d * kFloatBytes);
  parallel_for_throwing((rows + kBlockRows - 1) / kBlockRows, threads, [&](std::int64_t block) {
    const std::int64_t first = block * kBlockRows;
    const std::int64_t count = std::min(kBlockRows, rows - first);
    source.read_rows(table, first,
                     {buffer.floats() + first * d, static_cast<std::size_t>(count * d)});
  });
  return buffer;
}

NormWeights read_norm(const WeightSource& source, TensorId weight, TensorId bias) {
  const ModelConfig& config = source.config();
  const auto d = static_cast<std::size_t>(config.d_model);
  NormWeights result;
  result.parameters = AlignedBuffer(2 * config.d_model * kFloatBytes);
  float* floats = result.parameters.floats();
  source.read(weight, {floats, d});
  source.read(bias, {floats + d, d});
  result.norm = {floats, floats + d, static_cast<float>(config.layer_norm_eps)};
  return result;
}

std::unique_ptr<LinearWeights> read_linear(const WeightSource& source, const LinearEngine& engine,
                                           TensorId weight, TensorId bias, Slab& slab) {
  return engine.pack([&](std::span<float> out) { source.read(weight, out); },
                     [&](std::span<float> out) { source.read(bias, out); }, slab);
}

/// XLNet's output projection has no bias.
std::unique_ptr<LinearWeights> read_attention_out(const WeightSource& source,
                                                  const LinearEngine& engine, std::int64_t layer,
                                                  Slab& slab) {
  const TensorId weight{Role::attention_out_weight, layer};
  if (source.config().family == Family::bert) {
    return read_linear(source, engine, weight, {Role::attention_out_bias, layer}, slab);
  }
  return engine.pack([&](std::span<float> out) { source.read(weight, out); },
                     [](std::span<float> out) { std::ranges::fill(out, 0.0F); }, slab);
}

void scale_queries(const ModelConfig& config, std::span<float> queries) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.d_head())));
  for (float& value : queries) {
    value *= scale;
  }
}

/// Reads three tensors one after the other and scales the first, the query's.
void read_qkv(const WeightSource& source, const Role (&roles)[3], std::int64_t layer,
              std::span<float> out) {
  const std::size_t part = out.size() / 3;
  for (std::size_t i = 0; i < 3; ++i) {
    source.read({roles[i], layer}, out.subspan(i * part, part));
  }
  scale_queries(source.config(), out.first(part));
}

/// XLNet has no biases here, but every query meets the keys as q + r_w.
void read_qkv_bias(const WeightSource& source, std::int64_t layer, std::span<float> out) {
  static constexpr Role kBiases[] = {Role::query_bias, Role::key_bias, Role::value_bias};
  if (source.config().family == Family::bert) {
    read_qkv(source, kBiases, layer, out);
    return;
  }
  const std::span<float> queries = out.first(out.size() / 3);
  std::ranges::fill(out, 0.0F);
  source.read({Role::content_bias, layer}, queries);
  scale_queries(source.config(), queries);
}

LayerWeights read_layer(const WeightSource& source, const LayerEngines& engines,
                        const PositionTable& positions, std::int64_t layer, Slab& slab) {
  static constexpr Role kWeights[] = {Role::query_weight, Role::key_weight, Role::value_weight};
  return {
      .qkv =
          engines.qkv->pack([&](std::span<float> out) { read_qkv(source, kWeights, layer, out); },
                            [&](std::span<float> out) { read_qkv_bias(source, layer, out); }, slab),
      .attention_out = read_attention_out(source, *engines.attention_out, layer, slab),
      .ffn1 = read_linear(source, *engines.ffn1, {Role::ffn1_weight, layer},
                          {Role::ffn1_bias, layer}, slab),
      .ffn2 = read_linear(source, *engines.ffn2, {Role::ffn2_weight, layer},
                          {Role::ffn2_bias, layer}, slab),
      .attention_norm = read_norm(source, {Role::attention_norm_weight, layer},
                                  {Role::attention_norm_bias, layer}),
      .ffn_norm = read_norm(source, {Role::ffn_norm_weight, layer}, {Role::ffn_norm_bias, layer}),
      .relative = source.config().family == Family::xlnet
                      ? RelativeWeights(source, layer, positions, slab)
                      : RelativeWeights()};
}

std::vector<LayerWeights> read_layers(const WeightSource& source, const LayerEngines& engines,
                                      const PositionTable& positions, int threads, Slab& slab) {
  const std::int64_t count = source.config().layers;
  std::vector<std::optional<LayerWeights>> read(static_cast<std::size_t>(count));
  parallel_for_throwing(count, threads, [&](std::int64_t layer) {
    read[static_cast<std::size_t>(layer)].emplace(
        read_layer(source, engines, positions, layer, slab));
  });
  std::vector<LayerWeights> layers;
  for (std::optional<LayerWeights>& layer : read) {
    layers.push_back(std::move(*layer));
  }
  return layers;
}

std::int64_t layer_bytes(const LayerWeights& layer) {
  return layer.qkv->bytes() + layer.attention_out->bytes() + layer.ffn1->bytes() +
         layer.ffn2->bytes() + layer.attention_norm.parameters.bytes() +
         layer.ffn_norm.parameters.bytes() + layer.relative.bytes();
}

}  // namespace

PackedModel::PackedModel(const WeightSource& source, const LoadOptions& options,
                         EngineChoice choice)
    : config_(source.config()),
      positions_(config_.positions_grow ? options.positions : config_.max_positions) {
  const std::int64_t d = config_.d_model;
  omp_set_num_threads(options.threads);
  engines_ = layer_engines(config_, options, choice);
  words_ = read_table(source, Role::word_embedding, config_.vocab_size, d, options.threads);
  PositionTable relative_positions;
  if (config_.family == Family::bert) {
    position_table_ = read_table(source, Role::position_embedding, positions_, d, options.threads);
    types_ = read_table(source, Role::type_embedding, config_.type_vocab_size, d, options.threads);
    embedding_norm_ = read_norm(source, {Role::embedding_norm_weight}, {Role::embedding_norm_bias});
  } else {
    relative_positions = PositionTable(positions_, d);
  }
  layers_ = read_layers(source, engines_, relative_positions, options.threads, slab_);
  if (config_.head == HeadKind::classes) {
    pooler_weight_ = read_tensor(source, {Role::pooler_weight}, d * d);
    pooler_bias_ = read_tensor(source, {Role::pooler_bias}, d);
  }
  if (const std::int64_t outputs = config_.head_outputs(); outputs > 0) {
    head_weight_ = read_tensor(source, {Role::head_weight}, outputs * d);
    head_bias_ = read_tensor(source, {Role::head_bias}, outputs);
  }
}

void PackedModel::embed(std::int64_t id, std::int64_t position, std::int64_t type,
                        float* out) const {
  const std::int64_t d = config_.d_model;
  const float* word = words_.floats() + id * d;
  if (config_.family == Family::xlnet) {
    std::memcpy(out, word, static_cast<std::size_t>(d * kFloatBytes));
    return;
  }
  kernels::embed_row(word, position_table_.floats() + position * d, types_.floats() + type * d, d,
                     embedding_norm_.norm, out);
}

std::int64_t PackedModel::weight_bytes() const {
  std::int64_t bytes = 0;
  for (const AlignedBuffer* buffer :
       {&words_, &position_table_, &types_, &embedding_norm_.parameters, &pooler_weight_,
        &pooler_bias_, &head_weight_, &head_bias_}) {
    bytes += buffer->bytes();
  }
  for (const LayerWeights& layer : layers_) {
    bytes += layer_bytes(layer);
  }
  return bytes;
}

}  // namespace deformer
