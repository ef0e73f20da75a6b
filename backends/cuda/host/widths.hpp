#pragma once
/// How wide rows, heads and feed-forward rows lie in device memory. Kernels read them in packs of
/// 4, e4m3 products want multiples of 16: a model whose widths are such multiples lies there as it
/// is, any other with zeros at the end of each row and of each head's part of it. Zeros in the
/// weights keep zeros in the activations, so that only what counts a row's elements (the norms) and
/// what leaves the device must know of them.

#include <cstdint>

#include "backends/cuda/host/element.hpp"
#include "model/config.hpp"

namespace deformer::cuda {

/// One side of a matrix: so many parts of `real` elements each, which lie `stored` apart.
struct Side {
  std::int64_t parts;
  std::int64_t real;
  std::int64_t stored;

  std::int64_t size() const { return parts * stored; }
  bool fits() const { return real == stored; }
};

struct Widths {
  Side model;         ///< hidden states: d_model
  Side heads;         ///< queries, keys, values and context, one of them
  Side feed_forward;  ///< d_ff

  /// All three that attention reads.
  Side fused() const { return {3 * heads.parts, heads.real, heads.stored}; }
};

/// Widths that are not a multiple of 4 (fp8: 16, for heads all of them together) become whole words
/// of 16 bytes: those are what cuDNN, our kernels for few rows and most of cuBLASLt's want.
Widths widths_of(const ModelConfig& config, const Numbers& numbers);

}  // namespace deformer::cuda
