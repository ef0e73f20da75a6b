#include <fmt/format.h>

#include "model/error.hpp"
#include "model/weights.hpp"

namespace deformer {
namespace {

/// Finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// OOPSLA 2014, with Stafford's constants): a bijection of 64 bits that scatters a counter.
constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

/// FNV-1a of the tensor's name: the stream of a tensor does not move when roles are added.
constexpr std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return hash;
}

/// The sum of four 16-bit pieces, centred, is close to normal (Irwin-Hall) and an exact integer;
/// its deviation is sqrt(4 (2^32 - 1) / 12) = 2^16 / sqrt(3).
constexpr double kSumDeviation = 37837.22;
constexpr std::int32_t kSumMean = 2 * 65535;

/// value = float(sum - offset) * scale: an exact conversion and one rounded product, which no
/// compiler can fuse with anything, so that the bits are the same everywhere. A mean other than 0
/// goes into the offset for that reason.
struct Distribution {
  std::int32_t offset;
  float scale;
};

constexpr Distribution distribution(double mean, double deviation) {
  const double scale = deviation / kSumDeviation;
  return {kSumMean - static_cast<std::int32_t>(mean / scale), static_cast<float>(scale)};
}

/// Matrices and embedding tables as BERT initialises them (0.02). Norm weights within about 1 +-
/// 0.3, biases and segment embeddings of 0.1, so that leaving one out shows in every output.
Distribution distribution_of(Role role) {
  switch (role) {
    case Role::embedding_norm_weight:
    case Role::attention_norm_weight:
    case Role::ffn_norm_weight:
      return distribution(1.0, 0.1);
    case Role::embedding_norm_bias:
    case Role::query_bias:
    case Role::key_bias:
    case Role::value_bias:
    case Role::content_bias:
    case Role::position_bias:
    case Role::segment_bias:
    case Role::segment_embedding:
    case Role::attention_out_bias:
    case Role::attention_norm_bias:
    case Role::ffn1_bias:
    case Role::ffn2_bias:
    case Role::ffn_norm_bias:
    case Role::pooler_bias:
    case Role::head_bias:
      return distribution(0.0, 0.1);
    default:
      return distribution(0.0, 0.02);
  }
}

/// Adds the four 16-bit pieces two at a time.
constexpr std::int32_t sum_of_pieces(std::uint64_t bits) {
  constexpr std::uint64_t kLowHalves = 0x0000ffff0000ffffULL;
  const std::uint64_t pairs = (bits & kLowHalves) + ((bits >> 16) & kLowHalves);
  return static_cast<std::int32_t>((pairs + (pairs >> 32)) & 0xffffffffULL);
}

class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const ModelConfig& config, std::uint64_t seed)
      : WeightSource(config, fmt::format("seed:{}", seed)), seed_(seed) {}

 private:
  void do_read(TensorId id, std::int64_t first_element, std::span<float> out) const override {
    const auto [offset, scale] = distribution_of(id.role);
    const std::uint64_t stream = mix(mix(seed_ + kGolden) ^ hash_name(to_string(id)));
    std::uint64_t counter = stream + static_cast<std::uint64_t>(first_element) * kGolden;
    for (float& value : out) {
      value = static_cast<float>(sum_of_pieces(mix(counter)) - offset) * scale;
      counter += kGolden;
    }
  }

  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<WeightSource> random_weights(const ModelConfig& config, std::uint64_t seed) {
  validate(config, config.name);
  return std::make_unique<RandomWeights>(config, seed);
}

}  // namespace deformer
