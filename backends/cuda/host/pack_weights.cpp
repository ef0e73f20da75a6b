#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "backends/cuda/host/encode.hpp"
#include "backends/cuda/host/fp8_scales.hpp"
#include "backends/cuda/host/spread.hpp"
#include "backends/cuda/host/weight_places.hpp"
#include "model/relative_positions.hpp"

namespace deformer::cuda {
namespace {

constexpr Role kQkvWeights[] = {Role::query_weight, Role::key_weight, Role::value_weight};
constexpr Role kQkvBiases[] = {Role::query_bias, Role::key_bias, Role::value_bias};

std::span<const std::byte> bytes_of_floats(std::span<const float> values) {
  return std::as_bytes(values);
}

/// work(i) for all i below `count`, on `threads` threads; the first exception is passed on.
template <class Work>
void side_by_side(std::int64_t count, int threads, const Work& work) {
  std::atomic<std::int64_t> next = 0;
  std::exception_ptr failed;
  std::mutex mutex;
  const auto worker = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failed = failed ? failed : std::current_exception();
        return;
      }
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads && i < count; ++i) {
    others.emplace_back(worker);
  }
  worker();
  others.clear();
  if (failed) {
    std::rethrow_exception(failed);
  }
}

class Packer {
 public:
  Packer(const WeightSource& source, const Numbers& numbers, const WeightPlaces& places,
         const WriteBytes& write)
      : source_(source),
        config_(source.config()),
        numbers_(numbers),
        places_(places),
        widths_(places.widths),
        write_(write),
        d_(static_cast<std::size_t>(config_.d_model)) {
    if (config_.family == Family::xlnet) {
      make_position_table();
    }
  }

  void pack(int threads) {
    pack_words(threads);
    if (config_.family == Family::bert) {
      pack_table(Role::position_embedding, places_.position_rows, places_.positions);
      pack_table(Role::type_embedding, config_.type_vocab_size, places_.types);
      write_norm(places_.embedding_norm,
                 norm({Role::embedding_norm_weight}, {Role::embedding_norm_bias}));
    }
    side_by_side(config_.layers, threads, [&](std::int64_t layer) { pack_layer(layer); });
    pack_head();
  }

 private:
  std::vector<float> read(TensorId id) const {
    std::int64_t count = 1;
    for (const std::int64_t size : tensor_shape(config_, id)) {
      count *= size;
    }
    std::vector<float> values(static_cast<std::size_t>(count));
    source_.read(id, values);
    return values;
  }
  std::vector<float> norm(TensorId weight, TensorId bias) const {
    std::vector<float> values = read(weight);
    const std::vector<float> second = read(bias);
    values.insert(values.end(), second.begin(), second.end());
    return values;
  }
  void write_floats(std::int64_t at, std::span<const float> values) const {
    write_(at, bytes_of_floats(values));
  }
  /// Weights and biases, as wide as rows are.
  void write_norm(std::int64_t at, std::vector<float> values) const {
    write_floats(at, spread_rows(std::move(values), 2, widths_.model));
  }
  void write_activations(std::int64_t at, std::span<const float> values) const {
    write_(at, encode(numbers_.activations, values));
  }
  void write_scales(std::int64_t at, std::span<const float> scales) const {
    constexpr auto kFloats = static_cast<std::size_t>(kScaleBytes) / sizeof(float);
    std::vector<float> values(scales.size() * kFloats);
    for (std::size_t i = 0; i < scales.size(); ++i) {
      values[i * kFloats] = scales[i];
    }
    write_floats(at, values);
  }
  float query_scale() const {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(config_.d_head())));
  }

  /// In blocks: the word table is a fifth of a model. Remembers what rows of it can be, for fp8.
  void pack_words(int threads) {
    constexpr std::int64_t kBlockRows = 512;
    const std::int64_t blocks = (config_.vocab_size + kBlockRows - 1) / kBlockRows;
    std::mutex mutex;
    side_by_side(blocks, threads, [&](std::int64_t block) {
      const std::int64_t first = block * kBlockRows;
      const std::int64_t rows = std::min(kBlockRows, config_.vocab_size - first);
      std::vector<float> values(static_cast<std::size_t>(rows) * d_);
      source_.read_rows(Role::word_embedding, first, values);
      if (numbers_.scaled()) {
        const std::lock_guard lock(mutex);
        longest_word_ = std::max(longest_word_, longest_row(values));
        largest_word_ = std::max(largest_word_, largest(values));
      }
      write_activations(
          places_.words + first * widths_.model.size() * bytes_of(numbers_.activations),
          spread_rows(std::move(values), rows, widths_.model));
    });
  }

  double longest_row(std::span<const float> values) const {
    double longest = 0;
    for (std::size_t first = 0; first < values.size(); first += d_) {
      double squares = 0;
      for (const float value : values.subspan(first, d_)) {
        squares += static_cast<double>(value) * static_cast<double>(value);
      }
      longest = std::max(longest, std::sqrt(squares));
    }
    return longest;
  }

  void pack_table(Role role, std::int64_t rows, std::int64_t at) const {
    std::vector<float> values(static_cast<std::size_t>(rows) * d_);
    source_.read_rows(role, 0, values);
    write_activations(at, spread_rows(std::move(values), rows, widths_.model));
  }

  /// The pooler's rows are as wide as those it reads: tanh of nothing is 0.
  void pack_head() const {
    const Side& model = widths_.model;
    if (places_.pooler_weight >= 0) {
      write_floats(places_.pooler_weight, spread(read({Role::pooler_weight}), model, model));
      write_floats(places_.pooler_bias, spread_rows(read({Role::pooler_bias}), 1, model));
    }
    if (places_.head_weight >= 0) {
      write_floats(places_.head_weight,
                   spread_rows(read({Role::head_weight}), config_.head_outputs(), model));
      write_floats(places_.head_bias, read({Role::head_bias}));
    }
  }

  /// Query, key, value, the first divided by sqrt(d_head). XLNet has no biases but r_w.
  std::vector<float> qkv(std::span<const Role> roles, std::int64_t layer) const {
    std::vector<float> values;
    for (const Role role : roles) {
      const std::vector<float> part = read({role, layer});
      values.insert(values.end(), part.begin(), part.end());
    }
    scale_queries(std::span(values).first(values.size() / 3));
    return values;
  }
  void scale_queries(std::span<float> queries) const {
    for (float& value : queries) {
      value *= query_scale();
    }
  }
  std::vector<float> qkv_bias(std::int64_t layer) const {
    if (config_.family == Family::bert) {
      return qkv(kQkvBiases, layer);
    }
    std::vector<float> values = read({Role::content_bias, layer});
    values.resize(3 * d_, 0.0F);
    scale_queries(std::span(values).first(d_));
    return values;
  }

  struct Matrices {
    std::array<std::vector<float>, kLayerProducts> weight;
    std::array<std::vector<float>, kLayerProducts> bias;  ///< empty where there is none
  };

  Matrices read_matrices(std::int64_t layer) const {
    Matrices read_ones;
    read_ones.weight = {qkv(kQkvWeights, layer), read({Role::attention_out_weight, layer}),
                        read({Role::ffn1_weight, layer}), read({Role::ffn2_weight, layer})};
    read_ones.bias = {qkv_bias(layer),
                      config_.family == Family::bert ? read({Role::attention_out_bias, layer})
                                                     : std::vector<float>{},
                      read({Role::ffn1_bias, layer}), read({Role::ffn2_bias, layer})};
    return read_ones;
  }

  void pack_layer(std::int64_t layer) const {
    const LayerPlaces& at = places_.layers[static_cast<std::size_t>(layer)];
    Matrices matrices = read_matrices(layer);
    std::vector<float> attention_norm =
        norm({Role::attention_norm_weight, layer}, {Role::attention_norm_bias, layer});
    std::array<float, 2 * kLayerProducts> scales{};
    scales.fill(1.0F);
    if (numbers_.scaled()) {
      scales = find_scales(layer, matrices, attention_norm);
      write_scales(at.scales, scales);
    }
    for (std::size_t product = 0; product < kLayerProducts; ++product) {
      const auto [in, out] = sides_of(widths_, static_cast<LayerProduct>(product));
      write_(at.weight[product],
             encode(numbers_.operands, spread(std::move(matrices.weight[product]), out, in),
                    scales[product]));
      if (at.bias[product] >= 0) {
        write_activations(at.bias[product], spread_rows(std::move(matrices.bias[product]), 1, out));
      }
    }
    write_norm(at.attention_norm, std::move(attention_norm));
    write_norm(at.ffn_norm, norm({Role::ffn_norm_weight, layer}, {Role::ffn_norm_bias, layer}));
    if (config_.family == Family::xlnet) {
      pack_relative(layer, at);
    }
  }

  /// What enters a layer: the embedding's rows or those of the layer below.
  std::array<float, 2 * kLayerProducts> find_scales(std::int64_t layer, const Matrices& matrices,
                                                    std::span<const float> attention_norm) const {
    std::vector<float> below;
    RowBound entering{{}, {}, longest_word_, largest_word_};
    if (layer > 0) {
      below = norm({Role::ffn_norm_weight, layer - 1}, {Role::ffn_norm_bias, layer - 1});
    } else if (config_.family == Family::bert) {
      below = norm({Role::embedding_norm_weight}, {Role::embedding_norm_bias});
    }
    if (!below.empty()) {
      entering = {std::span(below).first(d_), std::span(below).last(d_), 0, 0};
    }
    const RowBound middle{attention_norm.first(d_), attention_norm.last(d_), 0, 0};
    const auto product = [&](LayerProduct which) { return static_cast<std::size_t>(which); };
    const std::span<const float> values = std::span(matrices.weight[0]).last(d_ * d_);
    const std::span<const float> value_bias = std::span(matrices.bias[0]).last(d_);
    std::array<float, 2 * kLayerProducts> scales{};
    for (std::size_t i = 0; i < kLayerProducts; ++i) {
      scales[i] = scale_for(largest(matrices.weight[i]));
    }
    const std::size_t ffn1 = product(LayerProduct::ffn1);
    scales[kLayerProducts + product(LayerProduct::qkv)] = scale_for(entering.value());
    scales[kLayerProducts + product(LayerProduct::out)] =
        scale_for(entering.product(values, value_bias));
    scales[kLayerProducts + ffn1] = scale_for(middle.value());
    scales[kLayerProducts + product(LayerProduct::ffn2)] =
        scale_for(middle.product(matrices.weight[ffn1], matrices.bias[ffn1]));
    return scales;
  }

  void make_position_table() {
    const std::int64_t reach = places_.position_rows - 1;
    position_table_.resize(static_cast<std::size_t>(2 * reach + 1) * d_);
    for (std::int64_t row = 0; row <= 2 * reach; ++row) {
      relative_position(reach - row,
                        std::span(position_table_).subspan(static_cast<std::size_t>(row) * d_, d_));
    }
  }

  /// R p of every distance, [rows, d]: in columns of W^T, so that the inner loop runs along d.
  std::vector<float> project_positions(std::int64_t layer) const {
    const std::vector<float> weight = read({Role::position_weight, layer});
    std::vector<float> turned(d_ * d_);
    for (std::size_t out = 0; out < d_; ++out) {
      for (std::size_t in = 0; in < d_; ++in) {
        turned[in * d_ + out] = weight[out * d_ + in];
      }
    }
    std::vector<float> projected(position_table_.size(), 0.0F);
    for (std::size_t row = 0; row < position_table_.size(); row += d_) {
      for (std::size_t in = 0; in < d_; ++in) {
        const float value = position_table_[row + in];
        for (std::size_t out = 0; out < d_; ++out) {
          projected[row + out] += value * turned[in * d_ + out];
        }
      }
    }
    return projected;
  }

  /// (bias - content bias) / sqrt(d_head): what a query lacks that was made for the content keys.
  std::vector<float> difference(Role bias, std::int64_t layer) const {
    std::vector<float> values = read({bias, layer});
    const std::vector<float> content = read({Role::content_bias, layer});
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = (values[i] - content[i]) * query_scale();
    }
    return values;
  }

  void pack_relative(std::int64_t layer, const LayerPlaces& at) const {
    const std::vector<float> projected = project_positions(layer);
    const std::vector<float> bias = difference(Role::position_bias, layer);
    const auto size = static_cast<std::size_t>(config_.d_head());
    const auto stored = static_cast<std::size_t>(widths_.heads.stored);
    const std::size_t rows = projected.size() / d_;
    std::vector<float> keys(rows * static_cast<std::size_t>(widths_.heads.size()));
    std::vector<float> key_bias(rows * static_cast<std::size_t>(config_.heads));
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = 0; i < d_; ++i) {
        const std::size_t head_row = i / size * rows + row;
        keys[head_row * stored + i % size] = projected[row * d_ + i];
        key_bias[head_row] += projected[row * d_ + i] * bias[i];
      }
    }
    write_activations(at.position_keys, keys);
    write_floats(at.key_bias, key_bias);
    pack_segments(layer, at);
  }

  /// Only the difference of the two embeddings matters: what is added to all keys of a query alike
  /// does not change its softmax.
  void pack_segments(std::int64_t layer, const LayerPlaces& at) const {
    const std::vector<float> embeddings = read({Role::segment_embedding, layer});
    const std::vector<float> bias = difference(Role::segment_bias, layer);
    const auto size = static_cast<std::size_t>(config_.d_head());
    std::vector<float> segments(d_);
    std::vector<float> segment_bias(static_cast<std::size_t>(config_.heads));
    for (std::size_t i = 0; i < d_; ++i) {
      segments[i] = embeddings[d_ + i] - embeddings[i];
      segment_bias[i / size] += segments[i] * bias[i];
    }
    write_floats(at.segments, spread_rows(std::move(segments), 1, widths_.heads));
    write_floats(at.segment_bias, segment_bias);
  }

  const WeightSource& source_;
  const ModelConfig& config_;
  const Numbers& numbers_;
  const WeightPlaces& places_;
  const Widths& widths_;
  const WriteBytes& write_;
  std::size_t d_;
  double longest_word_ = 0;
  double largest_word_ = 0;
  std::vector<float> position_table_;
};

}  // namespace

void pack_weights(const WeightSource& source, const Numbers& numbers, const WeightPlaces& places,
                  int threads, const WriteBytes& write) {
  Packer(source, numbers, places, write).pack(threads);
}

}  // namespace deformer::cuda
