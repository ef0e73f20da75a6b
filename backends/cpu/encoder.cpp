#include "backends/cpu/encoder.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/layer_cost.hpp"

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
  plan_steps(model.config().family);
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

std::span<const Encoder::Step> Encoder::known_steps() {
  static constexpr Step kSteps[] = {
      {.name = "qkv", .product = &Encoder::qkv_, .weights = &LayerWeights::qkv},
      {.name = "attention", .work = &Encoder::attend},
      {.name = "out", .product = &Encoder::attention_out_, .weights = &LayerWeights::attention_out},
      {.name = "norm1", .work = &Encoder::attention_norm},
      {.name = "ffn1", .product = &Encoder::ffn1_, .weights = &LayerWeights::ffn1},
      {.name = "ffn2", .product = &Encoder::ffn2_, .weights = &LayerWeights::ffn2},
      {.name = "norm2", .work = &Encoder::ffn_norm},
  };
  return kSteps;
}

void Encoder::plan_steps(Family family) {
  for (const std::string_view name : layer_operations(family)) {
    const auto found = std::ranges::find(known_steps(), name, &Step::name);
    if (found == known_steps().end()) {
      throw Unavailable(fmt::format("the cpu backend has no operation '{}'", name));
    }
    steps_.push_back(*found);
  }
}

void Encoder::work_layer(std::int64_t layer, const Worker& worker, RangeCursor* cursor) const {
  const LayerWeights& weights = model_.layer(layer);
  if (cursor == nullptr) {
    for (const Step& step : steps_) {
      work(step, weights, worker);
      worker.barrier();
    }
    return;
  }
  for (const Step& step : steps_) {
    work(step, weights, worker);
    cursor->worked();
    worker.barrier();
    cursor->met();
  }
}

void Encoder::run_layer(std::int64_t layer, Team& team, RangeCursor* cursor) const {
  const LayerWeights& weights = model_.layer(layer);
  for (const Step& step : steps_) {
    if (step.product != nullptr && !(this->*step.product)->shared()) {
      (this->*step.product)->run_alone(*(weights.*step.weights));
    } else {
      team.run([&](const Worker& worker) { work(step, weights, worker); });
    }
    if (cursor != nullptr) {
      cursor->worked();
      cursor->met();
    }
  }
}

void Encoder::attend(const LayerWeights& weights, const Worker& worker) const {
  attention_.work(qkv_rows_, context_, attention_scratch_, weights.relative.keys(), worker);
}

void Encoder::attention_norm(const LayerWeights& weights, const Worker& worker) const {
  normalise(weights.attention_norm, worker);
}

void Encoder::ffn_norm(const LayerWeights& weights, const Worker& worker) const {
  normalise(weights.ffn_norm, worker);
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
