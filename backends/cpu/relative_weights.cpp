#include "backends/cpu/relative_weights.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cpu/linear.hpp"
#include "model/relative_positions.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// The widest vector there is: what a tile reads beyond the last distance.
constexpr std::int64_t kMostLanes = 16;

std::vector<float> read(const WeightSource& source, TensorId id, std::int64_t elements) {
  std::vector<float> values(static_cast<std::size_t>(elements));
  source.read(id, values);
  return values;
}

/// R p of every distance, rows as the table's. One thread: layers are made side by side.
AlignedBuffer project(const WeightSource& source, std::int64_t layer,
                      const PositionTable& positions) {
  const std::int64_t d = source.config().d_model;
  Slab slab;
  const auto engine = make_panel_engine({d, d, Epilogue::bias});
  const auto weights = engine->pack(
      [&](std::span<float> out) {
        source.read({Role::position_weight, layer}, out);
      },
      [](std::span<float> out) { std::ranges::fill(out, 0.0F); }, slab);
  AlignedBuffer projected(positions.rows() * row_stride(d) * kFloatBytes);
  const auto product = engine->prepare(positions.rows());
  product->bind({positions.floats(), projected.floats(), nullptr});
  Team alone(1, {});
  alone.run([&](const Worker& worker) { product->work(*weights, worker); });
  return projected;
}

/// (bias - content bias) / sqrt(d_head): what a query lacks that was made for the content keys.
std::vector<float> difference(const WeightSource& source, Role bias, std::int64_t layer) {
  const ModelConfig& config = source.config();
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.d_head())));
  std::vector<float> values = read(source, {bias, layer}, config.d_model);
  const std::vector<float> content = read(source, {Role::content_bias, layer}, config.d_model);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = (values[i] - content[i]) * scale;
  }
  return values;
}

}  // namespace

PositionTable::PositionTable(std::int64_t tokens, std::int64_t d)
    : reach_(tokens - 1), table_(rows() * row_stride(d) * kFloatBytes) {
  for (std::int64_t row = 0; row < rows(); ++row) {
    relative_position(reach_ - row,
                      {table_.floats() + row * row_stride(d), static_cast<std::size_t>(d)});
  }
}

RelativeWeights::RelativeWeights(const WeightSource& source, std::int64_t layer,
                                 const PositionTable& positions, Slab& slab) {
  const ModelConfig& config = source.config();
  const std::int64_t d = config.d_model;
  const std::int64_t size = config.d_head();
  const std::int64_t rows = positions.rows();
  const std::int64_t stride = row_stride(rows + kMostLanes);
  const AlignedBuffer projected = project(source, layer, positions);
  const std::vector<float> bias = difference(source, Role::position_bias, layer);
  float* keys = slab.take_floats(d * stride);
  float* key_bias = slab.take_floats(config.heads * stride);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* from = projected.floats() + row * row_stride(d);
    for (std::int64_t i = 0; i < d; ++i) {
      keys[i * stride + row] = from[i];
      key_bias[i / size * stride + row] += from[i] * bias[static_cast<std::size_t>(i)];
    }
  }

  const std::vector<float> embeddings = read(source, {Role::segment_embedding, layer}, 2 * d);
  const std::vector<float> segment_difference = difference(source, Role::segment_bias, layer);
  float* segments = slab.take_floats(d);
  float* segment_bias = slab.take_floats(config.heads);
  for (std::int64_t i = 0; i < d; ++i) {
    const auto at = static_cast<std::size_t>(i);
    segments[i] = embeddings[at + static_cast<std::size_t>(d)] - embeddings[at];
    segment_bias[i / size] += segments[i] * segment_difference[at];
  }
  keys_ = {positions.reach(), stride, keys, key_bias, segments, segment_bias};
  floats_ = (d + config.heads) * stride + d + config.heads;
}

}  // namespace deformer
