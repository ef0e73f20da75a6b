// f32 products of few rows by AMX (amx_f32.hpp): bound by the weights' way from memory, so each
// thread reads its panels in the order of memory, once, in one pass over the inner dimension, and
// fetches them and the first of the product after this one as one stream (weight_stream.hpp).

#include "backends/cpu/amx_f32_few.hpp"

#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/caches.hpp"
#include "backends/cpu/epilogue.hpp"
#include "backends/cpu/pages.hpp"

namespace deformer {
namespace {

using amx_f32::kColumns;
using amx_f32::kStepInner;

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// The parts of all rows may fill this part of the second-level cache.
constexpr std::int64_t kRowsPart = 2;

class FewRowsLinear final : public Linear {
 public:
  FewRowsLinear(const LinearKind& kind, const Panels& panels, std::int64_t rows)
      : kind_(kind), panels_(panels), steps_(kind.in / kStepInner), rows_(rows) {}

  std::int64_t scratchpad_bytes(int threads) const override { return threads * thread_bytes(); }
  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  void work(const LinearWeights& weights, const Worker& worker) const override {
    work_then(weights, worker, nullptr);
  }

  void work_then(const LinearWeights& weights, const Worker& worker,
                 const float* then) const override {
    const auto& packed = static_cast<const PanelWeights&>(weights);
    std::byte* chunks = operands_.scratchpad + worker.index() * thread_bytes();
    std::byte* sums = chunks + amx_f32::kChunksBytes;
    amx_f32::FewProduct product;
    product.rows = {.count = rows_, .steps = steps_, .parts = sums + kSumBytes};
    product.chunks = chunks;
    product.sums = reinterpret_cast<float*>(sums);
    amx_f32::begin();
    amx_f32::Ahead ahead;
    bool split = false;
    for (std::int64_t panel; (panel = worker.next_near(panels_.count)) < panels_.count;) {
      place(packed, worker.range_of(panel, panels_.count), panel, then, product);
      if (!split) {
        amx_f32::split_rows(operands_.source, row_stride(kind_.in), product.rows, &product.stream);
        split = true;
      }
      amx_f32::multiply_few(product, ahead);
      finish(packed.bias() + panel * kColumns, product.sums, operands_.result + panel * kColumns);
    }
    amx_f32::end();
  }

  const float* first_read(const LinearWeights& weights, const Worker& worker) const override {
    return panel_of(static_cast<const PanelWeights&>(weights), worker.share(panels_.count).first);
  }

 private:
  static constexpr std::int64_t kSumBytes = amx_f32::kGroupRows * kColumns * kFloatBytes;

  std::int64_t thread_bytes() const {
    return amx_f32::kChunksBytes + kSumBytes + rows_ * steps_ * amx_f32::kRowStepBytes;
  }
  const float* panel_of(const PanelWeights& weights, std::int64_t panel) const {
    return weights.weights() + panels_.offset(panel);
  }

  /// `panel` of the range of panels of one worker.
  void place(const PanelWeights& weights, const Share& range, std::int64_t panel, const float* then,
             amx_f32::FewProduct& product) const {
    product.panel = panel_of(weights, panel);
    product.next = panel + 1 < range.last ? panel_of(weights, panel + 1) : nullptr;
    product.stream.first = panel_of(weights, range.first);
    product.stream.pages = panels_.offset(range.last - range.first) / WeightStream::kPageFloats;
    product.stream.then = then != nullptr ? then : product.stream.first;
  }

  void finish(const float* bias, const float* sums, float* result) const {
    const std::int64_t stride = row_stride(kind_.out);
    amx_f32::finish({.sums = sums,
                     .rows = rows_,
                     .bias = bias,
                     .add = kind_.epilogue == Epilogue::residual,
                     .result = result,
                     .stride = stride});
    activate(kind_.epilogue, result, rows_, kColumns, stride);
  }

  LinearKind kind_;
  Panels panels_;
  std::int64_t steps_;  ///< of the inner dimension
  std::int64_t rows_;
  LinearOperands operands_;
};

}  // namespace

std::unique_ptr<Linear> make_few_rows_linear(const LinearKind& kind, const Panels& panels,
                                             std::int64_t rows) {
  const std::int64_t bytes = rows * (kind.in / kStepInner) * amx_f32::kRowStepBytes;
  const bool fits = rows <= amx_f32::kGroupRows && bytes <= second_level_cache_bytes() / kRowsPart;
  return fits ? std::make_unique<FewRowsLinear>(kind, panels, rows) : nullptr;
}

}  // namespace deformer
