#include "backends/cpu/encoder.hpp"

#include <algorithm>

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// Rows a thread normalises at a time.
constexpr std::int64_t kNormRows = 4;

}  // namespace

Encoder::Encoder(const PackedModel& model, std::span<const std::int64_t> cumulative, int threads,
                 ArenaPlan& plan, int hidden, std::int64_t first_tick)
    : model_(model),
      rows_(cumulative.back()),
      qkv_(model.kinds().qkv, model.kinds().qkv_layout, rows_),
      attention_out_(model.kinds().attention_out, model.kinds().attention_out_layout, rows_),
      ffn1_(model.kinds().ffn1, model.kinds().ffn1_layout, rows_),
      ffn2_(model.kinds().ffn2, model.kinds().ffn2_layout, rows_),
      attention_(cumulative, model.config().heads, model.config().d_head(), threads),
      hidden_slot_(hidden) {
  // Ticks of a layer: 0 QKV, 1 attention, 2 output projection, 3 feed-forward.
  const std::int64_t row_bytes = rows_ * model.config().d_model * kFloatBytes;
  qkv_slot_ = plan.add(3 * row_bytes, first_tick, first_tick + 1);
  context_slot_ = plan.add(row_bytes, first_tick + 1, first_tick + 2);
  attention_scratch_slot_ = plan.add(attention_.scratch_bytes(), first_tick + 1, first_tick + 1);
  ffn_slot_ = plan.add(rows_ * model.config().d_ff * kFloatBytes, first_tick + 3, first_tick + 3);
  product_scratch_slot_ =
      plan.add(std::max({qkv_.scratchpad_bytes(), attention_out_.scratchpad_bytes(),
                         ffn1_.scratchpad_bytes(), ffn2_.scratchpad_bytes()}),
               first_tick, first_tick + kTicks - 1);
}

void Encoder::bind(std::byte* base, const ArenaPlan& plan) {
  const auto floats = [&](int slot) { return reinterpret_cast<float*>(base + plan.offset(slot)); };
  std::byte* scratch = base + plan.offset(product_scratch_slot_);
  hidden_ = floats(hidden_slot_);
  qkv_rows_ = floats(qkv_slot_);
  context_ = floats(context_slot_);
  attention_scratch_ = floats(attention_scratch_slot_);
  float* ffn = floats(ffn_slot_);
  qkv_.bind(hidden_, qkv_rows_, scratch);
  attention_out_.bind(context_, hidden_, scratch);
  ffn1_.bind(hidden_, ffn, scratch);
  ffn2_.bind(ffn, hidden_, scratch);
}

void Encoder::run_layer(std::int64_t layer) const {
  const LayerWeights& weights = model_.layer(layer);
  qkv_.run(weights.qkv);
  attention_.run(qkv_rows_, context_, attention_scratch_);
  attention_out_.run(weights.attention_out);
  normalise(weights.attention_out, weights.attention_norm);
  ffn1_.run(weights.ffn1);
  ffn2_.run(weights.ffn2);
  normalise(weights.ffn2, weights.ffn_norm);
}

void Encoder::normalise(const LinearWeights& product, const NormWeights& norm) const {
  const std::int64_t d = model_.config().d_model;
  const auto* bias = static_cast<const float*>(product.bias().get_data_handle());
#pragma omp parallel for schedule(static)
  for (std::int64_t first = 0; first < rows_; first += kNormRows) {
    kernels::shift_and_normalise(hidden_ + first * d, std::min(kNormRows, rows_ - first), d, bias,
                                 norm.norm);
  }
}

std::int64_t Encoder::requested_bytes_per_layer() const {
  const std::int64_t d = model_.config().d_model;
  // QKV, context, both projections onto the residual, both norms, the feed-forward layer.
  const std::int64_t results = rows_ * (3 * d + d + 2 * d + 2 * d + model_.config().d_ff);
  return results * kFloatBytes + attention_.scratch_bytes() + qkv_.scratchpad_bytes() +
         attention_out_.scratchpad_bytes() + ffn1_.scratchpad_bytes() + ffn2_.scratchpad_bytes();
}

}  // namespace deformer
