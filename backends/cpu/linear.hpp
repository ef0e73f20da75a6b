#pragma once
/// The large products y = x W^T: weights packed once in one layout that serves every number of
/// rows, and the operation for one fixed number of rows.

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include <oneapi/dnnl/dnnl.hpp>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/onednn_compat.hpp"

namespace deformer {

/// The CPU engine and stream. Made at the first use, so that starting the program stays quick.
const dnnl::engine& cpu_engine();
const dnnl::stream& cpu_stream();

/// Everything but the number of rows.
struct LinearKind {
  std::int64_t in = 0;
  std::int64_t out = 0;
  onednn::Epilogue epilogue = onednn::Epilogue::bias;
};

/// The layout of packed weights [out, in]: what oneDNN prefers at a typical number of rows, if an
/// optimised implementation then exists for few and for many rows alike; else plain rows.
dnnl::memory::desc packed_layout(const LinearKind& kind);

/// Packed weights of one linear layer, with the bias that its epilogue needs.
class LinearWeights {
 public:
  /// `fill_weights` writes the [out, in] matrix, row-major, where it is told to; `fill_bias`
  /// likewise.
  LinearWeights(const LinearKind& kind, const dnnl::memory::desc& layout,
                const std::function<void(std::span<float>)>& fill_weights,
                const std::function<void(std::span<float>)>& fill_bias);

  const dnnl::memory& weights() const { return weights_; }
  const dnnl::memory& bias() const { return bias_; }
  std::int64_t bytes() const { return weights_buffer_.bytes() + bias_buffer_.bytes(); }

 private:
  AlignedBuffer weights_buffer_;
  AlignedBuffer bias_buffer_;
  dnnl::memory weights_;
  dnnl::memory bias_;
};

/// The operation for `rows` rows. Weights are given at each call: all layers share it.
class Linear {
 public:
  Linear(const LinearKind& kind, const dnnl::memory::desc& layout, std::int64_t rows);

  std::int64_t scratchpad_bytes() const { return scratchpad_bytes_; }
  /// Tells where source, result and scratchpad lie from now on.
  void bind(float* source, float* result, std::byte* scratchpad);
  /// Allocates nothing of ours. @throws std::runtime_error when oneDNN refuses.
  void run(const LinearWeights& weights) const;

 private:
  onednn::Epilogue epilogue_;
  dnnl::inner_product_forward primitive_;
  dnnl::memory source_;
  dnnl::memory result_;
  dnnl::memory scratchpad_;
  std::int64_t scratchpad_bytes_ = 0;
};

}  // namespace deformer
