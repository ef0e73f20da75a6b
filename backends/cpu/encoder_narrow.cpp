// The part of an encoder that is there in reduced precision only.

#include "backends/cpu/encoder.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

}  // namespace

void Encoder::plan_narrow_rows(ArenaPlan& plan, std::int64_t first_tick) {
  const ModelConfig& config = model_.config();
  const std::int64_t d = config.d_model;
  const std::int64_t last_tick = first_tick + kTicks - 1;
  const auto rows = [&](std::optional<NarrowSource>& source, DType dtype, std::int64_t columns,
                        std::int64_t first, std::int64_t last) {
    source.emplace(dtype, rows_, columns, plan, first, last);
  };
  rows(hidden_source_, dtype_, d, first_tick, last_tick);
  rows(context_source_, dtype_, d, first_tick + 1, first_tick + 2);
  rows(ffn_source_, dtype_, config.d_ff, last_tick, last_tick);
  if (narrow_attention_) {
    rows(qkv_bf16_, DType::bf16, 3 * d, first_tick, first_tick + 1);
  }
  if (dtype_ == DType::int8) {
    rows(ffn_bf16_, DType::bf16, config.d_ff, last_tick, last_tick);
    if (narrow_attention_) {
      rows(context_bf16_, DType::bf16, d, first_tick + 1, first_tick + 2);
    }
  }
}

void Encoder::bind_narrow(std::byte* base, const ArenaPlan& plan) {
  for (auto* source :
       {&hidden_source_, &context_source_, &ffn_source_, &qkv_bf16_, &context_bf16_, &ffn_bf16_}) {
    if (*source) {
      (*source)->bind(base, plan);
    }
  }
  const auto from = [](const NarrowSource& source) {
    LinearOperands operands;
    operands.narrow_source = source.data();
    operands.ranges = source.ranges();
    return operands;
  };
  LinearOperands qkv = from(*hidden_source_);
  qkv.result = qkv_rows_;
  qkv.narrow_result = qkv_bf16_ ? qkv_bf16_->data() : nullptr;
  qkv_->bind(qkv);
  LinearOperands out = from(*context_source_);
  out.result = hidden_;
  attention_out_->bind(out);
  LinearOperands ffn1 = from(*hidden_source_);
  ffn1.narrow_result = (ffn_bf16_ ? *ffn_bf16_ : *ffn_source_).data();
  ffn1_->bind(ffn1);
  LinearOperands ffn2 = from(*ffn_source_);
  ffn2.result = hidden_;
  ffn2_->bind(ffn2);
}

void Encoder::enter(const Worker& worker) const {
  if (hidden_source_) {
    hidden_source_->fill_from_f32(hidden_, row_stride(model_.config().d_model) * kFloatBytes,
                                  worker);
    worker.barrier();
  }
}

void Encoder::narrow_context(const Worker& worker) const {
  if (context_bf16_) {
    context_source_->fill_from_bf16(context_bf16_->data(), context_bf16_->row_bytes(), worker);
  } else {
    context_source_->fill_from_f32(context_, row_stride(model_.config().d_model) * kFloatBytes,
                                   worker);
  }
}

void Encoder::narrow_ffn(const Worker& worker) const {
  ffn_source_->fill_from_bf16(ffn_bf16_->data(), ffn_bf16_->row_bytes(), worker);
}

}  // namespace deformer
