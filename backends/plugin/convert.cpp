#include "backends/plugin/convert.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer::plugin {
namespace {

// plugin.h is written by hand and must say what the enumerations say.
template <typename Enumeration>
constexpr bool same(int number, Enumeration value) {
  return number == static_cast<int>(value);
}
static_assert(same(DEFORMER_F32, DType::f32) && same(DEFORMER_BF16, DType::bf16) &&
              same(DEFORMER_F16, DType::f16) && same(DEFORMER_INT8, DType::int8) &&
              same(DEFORMER_FP8, DType::fp8) && same(DEFORMER_BIT1, DType::bit1) &&
              same(DEFORMER_TF32, DType::tf32));
static_assert(same(DEFORMER_BERT, Family::bert) && same(DEFORMER_XLNET, Family::xlnet));
static_assert(same(DEFORMER_GELU_ERF, Activation::gelu_erf) &&
              same(DEFORMER_GELU_TANH, Activation::gelu_tanh));
static_assert(same(DEFORMER_HEAD_NONE, HeadKind::none) &&
              same(DEFORMER_HEAD_SPAN, HeadKind::span) &&
              same(DEFORMER_HEAD_CLASSES, HeadKind::classes));
static_assert(same(DEFORMER_QUESTION_FIRST, Order::question_first) &&
              same(DEFORMER_PASSAGE_FIRST, Order::passage_first));
static_assert(same(DEFORMER_QUESTION, Segment::question) &&
              same(DEFORMER_PASSAGE, Segment::passage) && same(DEFORMER_JOINT, Segment::joint));
static_assert(same(DEFORMER_EMBED, PhaseKind::embed) && same(DEFORMER_ENCODE, PhaseKind::encode) &&
              same(DEFORMER_LOAD, PhaseKind::load) && same(DEFORMER_JOIN, PhaseKind::join) &&
              same(DEFORMER_HEAD, PhaseKind::head));
static_assert(same(DEFORMER_DETAIL_NONE, Detail::none) &&
              same(DEFORMER_DETAIL_PHASE, Detail::phase) &&
              same(DEFORMER_DETAIL_LAYER, Detail::layer) && same(DEFORMER_DETAIL_OP, Detail::op));
static_assert(same(DEFORMER_AT_DEVICE, CachePlace::device) &&
              same(DEFORMER_AT_PINNED, CachePlace::pinned) &&
              same(DEFORMER_AT_PAGEABLE, CachePlace::pageable));
static_assert(same(DEFORMER_WORD_EMBEDDING, Role::word_embedding) &&
              same(DEFORMER_EMBEDDING_NORM_BIAS, Role::embedding_norm_bias) &&
              same(DEFORMER_QUERY_WEIGHT, Role::query_weight) &&
              same(DEFORMER_VALUE_BIAS, Role::value_bias) &&
              same(DEFORMER_POSITION_WEIGHT, Role::position_weight) &&
              same(DEFORMER_SEGMENT_EMBEDDING, Role::segment_embedding) &&
              same(DEFORMER_ATTENTION_OUT_WEIGHT, Role::attention_out_weight) &&
              same(DEFORMER_FFN1_WEIGHT, Role::ffn1_weight) &&
              same(DEFORMER_FFN2_BIAS, Role::ffn2_bias) &&
              same(DEFORMER_POOLER_WEIGHT, Role::pooler_weight) &&
              same(DEFORMER_HEAD_BIAS, Role::head_bias));

/// Far above anything real: only what can't be a count is refused here.
constexpr std::int64_t kMostEntries = std::int64_t{1} << 32;

template <typename T>
std::vector<T> copied(const T* data, std::int64_t count, std::string_view what) {
  if (count < 0 || count > kMostEntries || (count > 0 && data == nullptr)) {
    throw BadInput(fmt::format("{}: expected a count with as many entries, found {}{}", what, count,
                               data == nullptr ? " and none" : ""));
  }
  return count == 0 ? std::vector<T>{} : std::vector<T>(data, data + count);
}

}  // namespace

void put_message(deformer_error* error, std::string_view text) {
  if (error == nullptr) {
    return;
  }
  std::size_t length = std::min<std::size_t>(text.size(), DEFORMER_MESSAGE_BYTES - 1);
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) >> 6) == 2) {
    --length;  // not in the middle of a character
  }
  std::memcpy(error->message, text.data(), length);
  error->message[length] = '\0';
}

std::string message_of(const deformer_error& error) {
  return {error.message, strnlen(error.message, DEFORMER_MESSAGE_BYTES)};
}

int code_of_current_exception(deformer_error* error) noexcept {
  try {
    throw;
  } catch (const BadInput& bad) {
    put_message(error, bad.what());
    return DEFORMER_BAD_INPUT;
  } catch (const Unavailable& unavailable) {
    put_message(error, unavailable.what());
    return DEFORMER_UNAVAILABLE;
  } catch (const std::bad_alloc&) {
    put_message(error, "too little memory for what was asked");
    return DEFORMER_UNAVAILABLE;
  } catch (const std::exception& other) {
    put_message(error, other.what());
    return DEFORMER_FAILED;
  } catch (...) {
    put_message(error, "something that is no std::exception was thrown");
    return DEFORMER_FAILED;
  }
}

void throw_on_error(int code, const deformer_error& error, std::string_view who) {
  if (code == DEFORMER_OK) {
    return;
  }
  std::string text = message_of(error);
  if (text.empty()) {
    text = "the module gave no reason";
  }
  text = fmt::format("{}: {}", who, text);
  switch (code) {
    case DEFORMER_BAD_INPUT:
      throw BadInput(text);
    case DEFORMER_UNAVAILABLE:
      throw Unavailable(text);
    default:
      throw std::runtime_error(text);
  }
}

void refuse_value(std::int32_t number, std::string_view what) {
  throw BadInput(fmt::format("{}: {} is none of its values", what, number));
}

deformer_config config_view(const ModelConfig& config) {
  return {.size = sizeof(deformer_config),
          .family = static_cast<std::int32_t>(config.family),
          .name = config.name.c_str(),
          .layers = config.layers,
          .d_model = config.d_model,
          .heads = config.heads,
          .d_ff = config.d_ff,
          .vocab_size = config.vocab_size,
          .max_positions = config.max_positions,
          .type_vocab_size = config.type_vocab_size,
          .layer_norm_eps = config.layer_norm_eps,
          .activation = static_cast<std::int32_t>(config.activation),
          .head = static_cast<std::int32_t>(config.head),
          .classes = config.classes,
          .positions_grow = config.positions_grow ? 1 : 0};
}

ModelConfig config_of(const deformer_config& view) {
  ModelConfig config;
  config.name = view.name != nullptr ? view.name : "";
  config.family = value_of(view.family, Family::xlnet, "family");
  config.layers = view.layers;
  config.d_model = view.d_model;
  config.heads = view.heads;
  config.d_ff = view.d_ff;
  config.vocab_size = view.vocab_size;
  config.max_positions = view.max_positions;
  config.type_vocab_size = view.type_vocab_size;
  config.layer_norm_eps = view.layer_norm_eps;
  config.activation = value_of(view.activation, Activation::gelu_tanh, "activation");
  config.head = value_of(view.head, HeadKind::classes, "head");
  config.classes = view.classes;
  config.positions_grow = view.positions_grow != 0;
  validate(config, "plugin");
  return config;
}

deformer_shape shape_view(const Shape& shape) {
  return {.size = sizeof(deformer_shape),
          .batch = shape.batch,
          .questions_per_item = shape.questions_per_item,
          .passages_per_item = shape.passages_per_item,
          .question_tokens = shape.question_tokens.data(),
          .passage_tokens = shape.passage_tokens.data()};
}

Shape shape_of(const deformer_shape& view) {
  const auto within = [](std::int64_t value) { return value >= 1 && value <= (1 << 30); };
  if (!within(view.batch) || !within(view.questions_per_item) || !within(view.passages_per_item)) {
    throw BadInput(fmt::format("shape: expected counts from 1, found {} items of {} x {}",
                               view.batch, view.questions_per_item, view.passages_per_item));
  }
  Shape shape;
  shape.batch = view.batch;
  shape.questions_per_item = view.questions_per_item;
  shape.passages_per_item = view.passages_per_item;
  shape.question_tokens =
      copied(view.question_tokens, view.batch * view.questions_per_item, "question lengths");
  shape.passage_tokens =
      copied(view.passage_tokens, view.batch * view.passages_per_item, "passage lengths");
  return shape;
}

std::vector<deformer_phase> phases_of(const Plan& plan) {
  std::vector<deformer_phase> phases;
  for (const Phase& phase : plan.phases) {
    phases.push_back({static_cast<std::int32_t>(phase.kind),
                      static_cast<std::int32_t>(phase.segment), phase.first_layer,
                      phase.last_layer});
  }
  return phases;
}

deformer_plan plan_view(const Plan& plan, const std::vector<deformer_phase>& phases) {
  return {.size = sizeof(deformer_plan),
          .order = static_cast<std::int32_t>(plan.order),
          .positions_run_on = plan.positions_run_on ? 1 : 0,
          .split = plan.split,
          .phases = phases.data(),
          .phase_count = static_cast<std::int64_t>(phases.size())};
}

Plan plan_of(const deformer_plan& view) {
  Plan plan;
  plan.split = view.split;
  plan.order = value_of(view.order, Order::passage_first, "order");
  plan.positions_run_on = view.positions_run_on != 0;
  for (const deformer_phase& phase : copied(view.phases, view.phase_count, "phases")) {
    plan.phases.push_back({value_of(phase.kind, PhaseKind::head, "phase"),
                           value_of(phase.segment, Segment::joint, "segment"), phase.first_layer,
                           phase.last_layer});
  }
  return plan;
}

SessionOptions session_options_of(const deformer_session_options& view) {
  return {.threads = view.threads,
          .cache_dtype = value_of(view.cache_dtype, DType::tf32, "cache dtype"),
          .keep_layers = copied(view.keep_layers, view.keep_count, "kept layers"),
          .instance = view.instance,
          .processors = copied(view.processors, view.processor_count, "processors"),
          .detail = value_of(view.detail, Detail::op, "detail"),
          .one_layer = view.one_layer != 0,
          .cache_at = value_of(view.cache_at, CachePlace::pageable, "place of the cache"),
          .cold = view.cold != 0};
}

}  // namespace deformer::plugin
