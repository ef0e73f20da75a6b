#include "backends/cuda/host/weight_places.hpp"

namespace deformer::cuda {
namespace {

/// What cuBLASLt wants of an address.
constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kFloatBytes = sizeof(float);

class Placer {
 public:
  std::int64_t place(std::int64_t bytes) {
    const std::int64_t at = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  std::int64_t floats(std::int64_t count) { return place(count * kFloatBytes); }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

LayerPlaces layer_places(const ModelConfig& config, const Numbers& numbers, const Widths& widths,
                         std::int64_t positions, Placer& placer) {
  const std::int64_t d = widths.model.size();
  LayerPlaces places;
  for (std::size_t product = 0; product < kLayerProducts; ++product) {
    const auto [in, out] = sides_of(widths, static_cast<LayerProduct>(product));
    places.weight[product] = placer.place(in.size() * out.size() * bytes_of(numbers.operands));
    const bool biased =
        config.family == Family::bert || product != static_cast<std::size_t>(LayerProduct::out);
    if (biased) {
      places.bias[product] = placer.place(out.size() * bytes_of(numbers.activations));
    }
  }
  places.attention_norm = placer.floats(2 * d);
  places.ffn_norm = placer.floats(2 * d);
  if (numbers.scaled()) {
    places.scales = placer.place(2 * static_cast<std::int64_t>(kLayerProducts) * kScaleBytes);
  }
  if (config.family == Family::xlnet) {
    const std::int64_t rows = 2 * positions - 1;
    places.position_keys = placer.place(rows * widths.heads.size() * bytes_of(numbers.activations));
    places.key_bias = placer.floats(rows * config.heads);
    places.segments = placer.floats(widths.heads.size());
    places.segment_bias = placer.floats(config.heads);
  }
  return places;
}

}  // namespace

ProductSides sides_of(const Widths& widths, LayerProduct product) {
  switch (product) {
    case LayerProduct::qkv:
      return {widths.model, widths.fused()};
    case LayerProduct::out:
      return {widths.heads, widths.model};
    case LayerProduct::ffn1:
      return {widths.model, widths.feed_forward};
    case LayerProduct::ffn2:
      break;
  }
  return {widths.feed_forward, widths.model};
}

WeightPlaces weight_places(const ModelConfig& config, const Numbers& numbers,
                           std::int64_t positions) {
  return weight_places(config, numbers, positions, widths_of(config, numbers));
}

WeightPlaces weight_places(const ModelConfig& config, const Numbers& numbers,
                           std::int64_t positions, const Widths& widths) {
  const std::int64_t d = widths.model.size();
  const std::int64_t row = d * bytes_of(numbers.activations);
  Placer placer;
  WeightPlaces places;
  places.widths = widths;
  places.position_rows = config.positions_grow ? positions : config.max_positions;
  places.words = placer.place(config.vocab_size * row);
  if (config.family == Family::bert) {
    places.positions = placer.place(places.position_rows * row);
    places.types = placer.place(config.type_vocab_size * row);
    places.embedding_norm = placer.floats(2 * d);
  }
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    places.layers.push_back(layer_places(config, numbers, widths, places.position_rows, placer));
  }
  if (config.head == HeadKind::classes) {
    places.pooler_weight = placer.floats(d * d);
    places.pooler_bias = placer.floats(d);
  }
  if (const std::int64_t outputs = config.head_outputs(); outputs > 0) {
    places.head_weight = placer.floats(outputs * d);
    places.head_bias = placer.floats(outputs);
  }
  places.bytes = placer.bytes();
  return places;
}

}  // namespace deformer::cuda
