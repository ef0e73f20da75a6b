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

LayerPlaces layer_places(const ModelConfig& config, const Numbers& numbers, std::int64_t positions,
                         Placer& placer) {
  const std::int64_t d = config.d_model;
  const std::array<std::int64_t, kLayerProducts> in{d, d, d, config.d_ff};
  const std::array<std::int64_t, kLayerProducts> out{3 * d, d, config.d_ff, d};
  LayerPlaces places;
  for (std::size_t product = 0; product < kLayerProducts; ++product) {
    places.weight[product] = placer.place(in[product] * out[product] * bytes_of(numbers.operands));
    const bool biased =
        config.family == Family::bert || product != static_cast<std::size_t>(LayerProduct::out);
    if (biased) {
      places.bias[product] = placer.place(out[product] * bytes_of(numbers.activations));
    }
  }
  places.attention_norm = placer.floats(2 * d);
  places.ffn_norm = placer.floats(2 * d);
  if (numbers.scaled()) {
    places.scales = placer.place(2 * static_cast<std::int64_t>(kLayerProducts) * kScaleBytes);
  }
  if (config.family == Family::xlnet) {
    const std::int64_t rows = 2 * positions - 1;
    places.position_keys = placer.place(rows * d * bytes_of(numbers.activations));
    places.key_bias = placer.floats(rows * config.heads);
    places.segments = placer.floats(d);
    places.segment_bias = placer.floats(config.heads);
  }
  return places;
}

}  // namespace

WeightPlaces weight_places(const ModelConfig& config, const Numbers& numbers,
                           std::int64_t positions) {
  const std::int64_t d = config.d_model;
  const std::int64_t row = d * bytes_of(numbers.activations);
  Placer placer;
  WeightPlaces places;
  places.position_rows = config.positions_grow ? positions : config.max_positions;
  places.words = placer.place(config.vocab_size * row);
  if (config.family == Family::bert) {
    places.positions = placer.place(places.position_rows * row);
    places.types = placer.place(config.type_vocab_size * row);
    places.embedding_norm = placer.floats(2 * d);
  }
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    places.layers.push_back(layer_places(config, numbers, places.position_rows, placer));
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
