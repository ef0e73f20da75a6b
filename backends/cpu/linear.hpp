#pragma once
/// The large products y = x W^T of an encoder layer. An engine packs the weights of one kind of
/// product once, in one layout that serves every number of rows, and prepares the operation for a
/// fixed number of rows. Which engine serves a kind is measured (engine_choice.hpp).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "backends/cpu/narrow_rows.hpp"
#include "backends/cpu/narrow_tiles.hpp"
#include "backends/cpu/slab.hpp"
#include "backends/cpu/team.hpp"

namespace deformer {

/// What follows the product while its result is at hand.
enum class Epilogue {
  bias,            ///< y = x W^T + b
  bias_gelu_erf,   ///< y = gelu(x W^T + b)
  bias_gelu_tanh,  ///< y = gelu_tanh(x W^T + b)
  residual,        ///< y += x W^T + b
};

/// Everything but the number of rows.
struct LinearKind {
  std::int64_t in = 0;
  std::int64_t out = 0;
  Epilogue epilogue = Epilogue::bias;
  /// Of the factors; sums are f32 or int32, biases and residuals f32. f32 products read and write
  /// f32 rows; narrow ones read bf16 or u8 rows and write f32 ones, or bf16 where `narrow_result`
  /// says so (never with Epilogue::residual, always with GELU).
  DType dtype = DType::f32;
  bool narrow_result = false;
};

/// Floats from one row of activations to the next for rows of `columns` floats: whole cache lines,
/// and not a multiple of 32 of them, since rows that far apart fall into one or two sets of a first
/// level cache and push each other out while a tile reads some ten of them at a time.
std::int64_t row_stride(std::int64_t columns);

/// Packed weights and bias of one linear layer.
class LinearWeights {
 public:
  virtual ~LinearWeights() = default;
  LinearWeights() = default;
  LinearWeights(const LinearWeights&) = delete;
  LinearWeights& operator=(const LinearWeights&) = delete;
  virtual std::int64_t bytes() const = 0;
};

/// Where a product reads and writes. Rows lie `row_stride(in)` and `row_stride(out)` floats apart,
/// narrow ones narrow_row_bytes; padding behind a row of the result may be written.
struct LinearOperands {
  const float* source = nullptr;
  float* result = nullptr;
  std::byte* scratchpad = nullptr;
  const std::byte* narrow_source = nullptr;  ///< bf16 or u8, zero behind `in` up to a whole line
  const RowRange* ranges = nullptr;          ///< of the source's rows, u8 only
  std::byte* narrow_result = nullptr;        ///< bf16
};

/// The operation for a fixed number of rows. Weights are given at each call: all layers share it.
class Linear {
 public:
  virtual ~Linear() = default;
  Linear() = default;
  Linear(const Linear&) = delete;
  Linear& operator=(const Linear&) = delete;

  /// For a team of that many threads.
  virtual std::int64_t scratchpad_bytes(int /*threads*/) const { return 0; }
  virtual void bind(const LinearOperands& operands) = 0;
  /// Whether the workers of a team do it together (`work`), or a library with threads of its own
  /// does it when called outside any region (`run_alone`). Exactly one of the two is to be called.
  virtual bool shared() const = 0;
  /// Called by every worker; the barrier that must follow is the caller's.
  virtual void work(const LinearWeights& weights, const Worker& worker) const = 0;
  /// `work`, where it is known what this worker reads after it (first_read of the next product;
  /// may be null): products that wait for memory ask for that at their end.
  virtual void work_then(const LinearWeights& weights, const Worker& worker,
                         const float* /*then*/) const {
    work(weights, worker);
  }
  /// The weights that this worker reads first, page by page from there on; null when the product
  /// does not say.
  virtual const float* first_read(const LinearWeights& /*weights*/,
                                  const Worker& /*worker*/) const {
    return nullptr;
  }
  /// @throws std::runtime_error when the library refuses.
  virtual void run_alone(const LinearWeights& weights) const = 0;
};

/// Writes a row-major matrix or a vector where it is told to.
using Fill = std::function<void(std::span<float>)>;

/// One way to do one kind of product.
class LinearEngine {
 public:
  virtual ~LinearEngine() = default;
  LinearEngine() = default;
  LinearEngine(const LinearEngine&) = delete;
  LinearEngine& operator=(const LinearEngine&) = delete;

  virtual std::string_view name() const = 0;
  virtual const LinearKind& kind() const = 0;
  /// `fill_weights` gives the [out, in] matrix, `fill_bias` the [out] vector. The packed weights
  /// lie in `slab`, which must outlive them. May be called by several threads at once.
  virtual std::unique_ptr<LinearWeights> pack(const Fill& fill_weights, const Fill& fill_bias,
                                              Slab& slab) const = 0;
  virtual std::unique_ptr<Linear> prepare(std::int64_t rows) const = 0;
};

/// Panels of weights and tiles of our own, f32 only; every processor has it.
std::unique_ptr<LinearEngine> make_panel_engine(const LinearKind& kind);
/// f32 by AMX (amx_f32.hpp), by multiply-adds for numbers of rows where that is slower; null where
/// the processor has no AMX or a dimension is not a multiple of 32.
std::unique_ptr<LinearEngine> make_amx_engine(const LinearKind& kind);
/// oneDNN's matmul, f32 only.
std::unique_ptr<LinearEngine> make_onednn_engine(const LinearKind& kind);
/// Panels of narrow numbers. `set` is one of narrow_tiles(kind.dtype).
std::unique_ptr<LinearEngine> make_narrow_engine(const LinearKind& kind, const NarrowTiles& set);

}  // namespace deformer
