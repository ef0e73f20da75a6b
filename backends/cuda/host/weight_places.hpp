#pragma once
/// Where a model's weights lie in one block of device memory, and how they get there. Matrices stay
/// row-major [out, in], which is what cuBLASLt reads as a transposed column-major one; query, key
/// and value follow each other, so that one product makes all three. Queries (and their bias,
/// XLNet: r_w) are divided by sqrt(d_head) here, once. Everything is as wide as widths.hpp has it,
/// with zeros where the model has nothing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cuda/host/element.hpp"
#include "backends/cuda/host/widths.hpp"

namespace deformer::cuda {

/// The products of a layer.
enum class LayerProduct : std::uint8_t { qkv, out, ffn1, ffn2 };
inline constexpr std::size_t kLayerProducts = 4;

/// What its weights [out, in] are made of.
struct ProductSides {
  Side in;
  Side out;
};
ProductSides sides_of(const Widths& widths, LayerProduct product);

/// From one scale to the next: cuBLASLt has no algorithm for scales at addresses that are no
/// multiple of it.
inline constexpr std::int64_t kScaleBytes = 16;

/// Offsets in bytes; -1 for what a model lacks.
struct LayerPlaces {
  std::array<std::int64_t, kLayerProducts> weight{-1, -1, -1, -1};
  std::array<std::int64_t, kLayerProducts> bias{-1, -1, -1, -1};  ///< of the activations' element
  std::int64_t attention_norm = -1;                               ///< f32 [weight; bias]
  std::int64_t ffn_norm = -1;
  /// fp8: f32 scales of the weights [4], then of what is multiplied by them [4], kScaleBytes each.
  std::int64_t scales = -1;
  // XLNet (backends/cuda/kernels/args.hpp: RelativeTerms).
  std::int64_t position_keys = -1;
  std::int64_t key_bias = -1;
  std::int64_t segments = -1;
  std::int64_t segment_bias = -1;
};

struct WeightPlaces {
  std::int64_t words = -1;  ///< tables of the activations' element
  std::int64_t positions = -1;
  std::int64_t types = -1;
  std::int64_t embedding_norm = -1;
  std::int64_t pooler_weight = -1;  ///< f32, as the head's
  std::int64_t pooler_bias = -1;
  std::int64_t head_weight = -1;
  std::int64_t head_bias = -1;
  std::vector<LayerPlaces> layers;
  Widths widths{};                 ///< of all of it
  std::int64_t position_rows = 0;  ///< longest sequence there are positions for
  std::int64_t bytes = 0;
};

/// `positions`: rows of the position table where it grows with what is asked for.
WeightPlaces weight_places(const ModelConfig& config, const Numbers& numbers,
                           std::int64_t positions);
/// The same as wide as asked for: any that kernels can read, no narrower than the model.
WeightPlaces weight_places(const ModelConfig& config, const Numbers& numbers,
                           std::int64_t positions, const Widths& widths);

/// Takes bytes to an offset of the block. Called by several threads at once.
using WriteBytes = std::function<void(std::int64_t offset, std::span<const std::byte> bytes)>;

/// Reads every tensor once and hands it over as it is to lie there.
/// @throws what the source throws.
void pack_weights(const WeightSource& source, const Numbers& numbers, const WeightPlaces& places,
                  int threads, const WriteBytes& write);

}  // namespace deformer::cuda
