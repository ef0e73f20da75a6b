#include "backends/cuda/host/widths.hpp"

#include "backends/cuda/kernels/rows.cuh"

namespace deformer::cuda {
namespace {

/// Bytes of the words that tensor cores are fed with.
constexpr std::int64_t kWordBytes = 16;

std::int64_t whole_words(std::int64_t width, std::int64_t word) {
  return (width + word - 1) / word * word;
}

/// Heads of a width at which `heads` of them are a multiple of `multiple`; that of 16 is one.
std::int64_t head_width(std::int64_t heads, std::int64_t width, std::int64_t word,
                        std::int64_t multiple) {
  while (heads * width % multiple != 0) {
    width = whole_words(width + 1, word);
  }
  return width;
}

}  // namespace

Widths widths_of(const ModelConfig& config, const Numbers& numbers) {
  // A word of 16 e4m3 elements is as many as its products want multiples of.
  const std::int64_t multiple = numbers.scaled() ? kWordBytes : std::int64_t{kPack};
  const auto row = [&](std::int64_t real) {
    const bool fits = real % multiple == 0;
    return Side{1, real, fits ? real : whole_words(real, kWordBytes / bytes_of(numbers.operands))};
  };
  const std::int64_t real = config.d_head();
  const std::int64_t word = kWordBytes / bytes_of(numbers.activations);
  const std::int64_t stored = real % kPack == 0 ? real : whole_words(real, word);
  return {row(config.d_model),
          {config.heads, real, head_width(config.heads, stored, word, multiple)},
          row(config.d_ff)};
}

}  // namespace deformer::cuda
