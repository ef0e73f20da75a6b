#include "backends/cpu/encoder.hpp"

#include <algorithm>

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// Rows a thread normalises at a time.
constexpr std::int64_t kNormRows = 4;

}  // namespace

Encoder::Encoder(const PackedModel& model, std::span<const std::int64_t> cumulative,
                 std::span<const std::int64_t> first_texts, int threads, ArenaPlan& plan,
                 int hidden, std::int64_t first_tick)
    : model_(model),
      rows_(cumulative.back()),
      qkv_(model.engines().qkv->prepare(rows_)),
      attention_out_(model.engines().attention_out->prepare(rows_)),
      ffn1_(model.engines().ffn1->prepare(rows_)),
      ffn2_(model.engines().ffn2->prepare(rows_)),
      attention_(
          cumulative,
          model.config().family == Family::xlnet ? first_texts : std::span<const std::int64_t>{},
          model.config().heads, model.config().d_head(), threads),
      hidden_slot_(hidden) {
  // Ticks of a layer: 0 QKV, 1 attention, 2 output projection, 3 feed-forward.
  const std::int64_t d = model.config().d_model;
  const auto bytes = [&](std::int64_t columns) {
    return rows_ * row_stride(columns) * kFloatBytes;
  };
  qkv_slot_ = plan.add(bytes(3 * d), first_tick, first_tick + 1);
  context_slot_ = plan.add(bytes(d), first_tick + 1, first_tick + 2);
  attention_scratch_slot_ = plan.add(attention_.scratch_bytes(), first_tick + 1, first_tick + 1);
  ffn_slot_ = plan.add(bytes(model.config().d_ff), first_tick + 3, first_tick + 3);
  product_scratch_slot_ =
      plan.add(std::max({qkv_->scratchpad_bytes(), attention_out_->scratchpad_bytes(),
                         ffn1_->scratchpad_bytes(), ffn2_->scratchpad_bytes()}),
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
  qkv_->bind({hidden_, qkv_rows_, scratch});
  attention_out_->bind({context_, hidden_, scratch});
  ffn1_->bind({hidden_, ffn, scratch});
  ffn2_->bind({ffn, hidden_, scratch});
}

bool Encoder::shared() const {
  return qkv_->shared() && attention_out_->shared() && ffn1_->shared() && ffn2_->shared();
}

void Encoder::work_layer(std::int64_t layer, const Worker& worker) const {
  const LayerWeights& weights = model_.layer(layer);
  qkv_->work(*weights.qkv, worker);
  worker.barrier();
  attention_.work(qkv_rows_, context_, attention_scratch_, weights.relative.keys(), worker);
  worker.barrier();
  attention_out_->work(*weights.attention_out, worker);
  worker.barrier();
  normalise(weights.attention_norm, worker);
  worker.barrier();
  ffn1_->work(*weights.ffn1, worker);
  worker.barrier();
  ffn2_->work(*weights.ffn2, worker);
  worker.barrier();
  normalise(weights.ffn_norm, worker);
  worker.barrier();
}

void Encoder::run_layer(std::int64_t layer, Team& team) const {
  const LayerWeights& weights = model_.layer(layer);
  const auto product = [&](const Linear& linear, const LinearWeights& packed) {
    if (linear.shared()) {
      team.run([&](const Worker& worker) { linear.work(packed, worker); });
    } else {
      linear.run_alone(packed);
    }
  };
  const auto norm = [&](const NormWeights& which) {
    team.run([&](const Worker& worker) { normalise(which, worker); });
  };
  product(*qkv_, *weights.qkv);
  team.run([&](const Worker& worker) {
    attention_.work(qkv_rows_, context_, attention_scratch_, weights.relative.keys(), worker);
  });
  product(*attention_out_, *weights.attention_out);
  norm(weights.attention_norm);
  product(*ffn1_, *weights.ffn1);
  product(*ffn2_, *weights.ffn2);
  norm(weights.ffn_norm);
}

void Encoder::normalise(const NormWeights& norm, const Worker& worker) const {
  const std::int64_t d = model_.config().d_model;
  const std::int64_t stride = row_stride(d);
  const std::int64_t pieces = (rows_ + kNormRows - 1) / kNormRows;
  for (std::int64_t piece = worker.next(); piece < pieces; piece = worker.next()) {
    const std::int64_t first = piece * kNormRows;
    kernels::normalise(hidden_ + first * stride, std::min(kNormRows, rows_ - first), d, stride,
                       norm.norm);
  }
}

std::int64_t Encoder::requested_bytes_per_layer() const {
  const std::int64_t d = model_.config().d_model;
  // QKV, context, both projections onto the residual, both norms, the feed-forward layer.
  const std::int64_t results = rows_ * (3 * d + d + 2 * d + 2 * d + model_.config().d_ff);
  return results * kFloatBytes + attention_.scratch_bytes() + qkv_->scratchpad_bytes() +
         attention_out_->scratchpad_bytes() + ffn1_->scratchpad_bytes() + ffn2_->scratchpad_bytes();
}

}  // namespace deformer
