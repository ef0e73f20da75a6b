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
      threads_(threads),
      dtype_(model.engines().qkv->kind().dtype),
      qkv_(model.engines().qkv->prepare(rows_)),
      attention_out_(model.engines().attention_out->prepare(rows_)),
      ffn1_(model.engines().ffn1->prepare(rows_)),
      ffn2_(model.engines().ffn2->prepare(rows_)),
      hidden_slot_(hidden) {
  const ModelConfig& config = model.config();
  if (model.engines().qkv->kind().narrow_result) {
    narrow_attention_.emplace(cumulative, config.heads, config.d_head(), threads,
                              *NarrowAttention::tiles());
  } else {
    attention_.emplace(
        cumulative, config.family == Family::xlnet ? first_texts : std::span<const std::int64_t>{},
        config.heads, config.d_head(), threads);
  }
  plan_rows(plan, first_tick);
  if (narrow()) {
    plan_narrow_rows(plan, first_tick);
  }
  plan_steps(config.family);
}

/// Ticks of a layer: 0 QKV, 1 attention, 2 output projection, 3 feed-forward.
void Encoder::plan_rows(ArenaPlan& plan, std::int64_t first_tick) {
  const std::int64_t d = model_.config().d_model;
  const auto bytes = [&](std::int64_t columns) {
    return rows_ * row_stride(columns) * kFloatBytes;
  };
  if (!narrow_attention_) {
    qkv_slot_ = plan.add(bytes(3 * d), first_tick, first_tick + 1);
    context_slot_ = plan.add(bytes(d), first_tick + 1, first_tick + 2);
  }
  if (!narrow()) {
    ffn_slot_ = plan.add(bytes(model_.config().d_ff), first_tick + 3, first_tick + 3);
  }
  attention_scratch_slot_ = plan.add(attention_scratch_bytes(), first_tick + 1, first_tick + 1);
  product_scratch_slot_ = plan.add(
      std::max({qkv_->scratchpad_bytes(threads_), attention_out_->scratchpad_bytes(threads_),
                ffn1_->scratchpad_bytes(threads_), ffn2_->scratchpad_bytes(threads_)}),
      first_tick, first_tick + kTicks - 1);
}

void Encoder::bind(std::byte* base, const ArenaPlan& plan) {
  const auto floats = [&](int slot) {
    return slot < 0 ? nullptr : reinterpret_cast<float*>(base + plan.offset(slot));
  };
  std::byte* scratch = base + plan.offset(product_scratch_slot_);
  hidden_ = floats(hidden_slot_);
  qkv_rows_ = floats(qkv_slot_);
  context_ = floats(context_slot_);
  ffn_ = floats(ffn_slot_);
  attention_scratch_ = base + plan.offset(attention_scratch_slot_);
  if (narrow()) {
    bind_narrow(base, plan);
    return;
  }
  qkv_->bind({.source = hidden_, .result = qkv_rows_, .scratchpad = scratch});
  attention_out_->bind({.source = context_, .result = hidden_, .scratchpad = scratch});
  ffn1_->bind({.source = hidden_, .result = ffn_, .scratchpad = scratch});
  ffn2_->bind({.source = ffn_, .result = hidden_, .scratchpad = scratch});
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
    if (!narrow()) {
      continue;
    }
    if (name == "out" && (context_bf16_ || context_slot_ >= 0)) {
      steps_.back().narrow = &Encoder::narrow_context;
    } else if (name == "ffn2" && ffn_bf16_) {
      steps_.back().narrow = &Encoder::narrow_ffn;
    }
  }
}

void Encoder::work_layer(std::int64_t layer, std::int64_t following, const Worker& worker,
                         RangeCursor* cursor) const {
  const LayerWeights& weights = model_.layer(layer);
  for (const Step& step : steps_) {
    work(step, weights, worker, read_after(step, layer, following, worker));
    if (cursor != nullptr) {
      cursor->worked();
    }
    worker.barrier();
    if (cursor != nullptr) {
      cursor->met();
    }
  }
}

/// The first weights of the next product.
const float* Encoder::read_after(const Step& step, std::int64_t layer, std::int64_t following,
                                 const Worker& worker) const {
  const auto first_of = [&](auto begin, auto end, std::int64_t of) -> const float* {
    const auto found = std::find_if(begin, end, [](const Step& s) { return s.product != nullptr; });
    return found == end
               ? nullptr
               : (this->*found->product)->first_read(*(model_.layer(of).*found->weights), worker);
  };
  if (step.product == nullptr) {
    return nullptr;
  }
  const auto next = steps_.begin() + (&step - steps_.data()) + 1;
  const float* read = first_of(next, steps_.end(), layer);
  return read != nullptr || following < 0 ? read
                                          : first_of(steps_.begin(), steps_.end(), following);
}

void Encoder::run_layer(std::int64_t layer, Team& team, RangeCursor* cursor) const {
  const LayerWeights& weights = model_.layer(layer);
  for (const Step& step : steps_) {
    if (step.product != nullptr && !(this->*step.product)->shared()) {
      (this->*step.product)->run_alone(*(weights.*step.weights));
    } else {
      team.run([&](const Worker& worker) { work(step, weights, worker, nullptr); });
    }
    if (cursor != nullptr) {
      cursor->worked();
      cursor->met();
    }
  }
}

void Encoder::attend(const LayerWeights& weights, const Worker& worker) const {
  if (narrow_attention_) {
    narrow_attention_->work(qkv_bf16_->data(),
                            (context_bf16_ ? *context_bf16_ : *context_source_).data(),
                            attention_scratch_, worker);
    return;
  }
  attention_->work(qkv_rows_, context_, reinterpret_cast<float*>(attention_scratch_),
                   weights.relative.keys(), worker);
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
  for (std::int64_t piece; (piece = worker.next_near(pieces)) < pieces;) {
    const std::int64_t first = piece * kNormRows;
    const std::int64_t count = std::min(kNormRows, rows_ - first);
    float* hidden = hidden_ + first * stride;
    kernels::normalise(hidden, count, d, stride, norm.norm);
    if (hidden_source_) {
      hidden_source_->fill_from_f32(first, count, hidden, stride * kFloatBytes);
    }
  }
}

std::int64_t Encoder::attention_scratch_bytes() const {
  return narrow_attention_ ? narrow_attention_->scratch_bytes() : attention_->scratch_bytes();
}

std::int64_t Encoder::requested_bytes_per_layer() const {
  const std::int64_t d = model_.config().d_model;
  // Both projections onto the residual and both norms.
  std::int64_t bytes = rows_ * 4 * d * kFloatBytes + attention_scratch_bytes() +
                       qkv_->scratchpad_bytes(threads_) +
                       attention_out_->scratchpad_bytes(threads_) +
                       ffn1_->scratchpad_bytes(threads_) + ffn2_->scratchpad_bytes(threads_);
  if (!narrow_attention_) {
    bytes += rows_ * 4 * d * kFloatBytes;  // QKV and context
  }
  if (!narrow()) {
    bytes += rows_ * model_.config().d_ff * kFloatBytes;
  }
  for (const auto* rows : {&hidden_source_, &hidden_source_, &context_source_, &ffn_source_,
                           &qkv_bf16_, &context_bf16_, &ffn_bf16_}) {
    bytes += *rows ? (*rows)->bytes() : 0;  // the hidden states are narrowed twice
  }
  return bytes;
}

}  // namespace deformer
