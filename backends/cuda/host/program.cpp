#include "backends/cuda/host/program.hpp"

#include <utility>

#include "backends/cuda/host/offset.hpp"
#include "backends/cuda/host/program_layout.hpp"
#include "backends/cuda/host/range_marks.hpp"
#include "backends/plugin/rows.hpp"
#include "cache/codec.hpp"
#include "model/layer_cost.hpp"

namespace deformer::cuda {
namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);

class Builder {
 public:
  Builder(const ProgramRequest& request, const Bases& bases)
      : request_(request),
        config_(request.config),
        plan_(request.plan),
        shape_(request.shape),
        bases_(bases),
        widths_(request.places.widths),
        d_(widths_.model.size()),
        padding_(d_ - config_.d_model),
        element_(request.numbers.activations),
        layout_(request, program_) {}

  Program build() {
    add_steps();
    finish();
    return std::move(program_);
  }

 private:
  // Steps.

  void add_steps();
  void add_phase(std::size_t index);
  void embed(const Phase& phase);
  void encode(std::size_t index);
  void layer(const Phase& phase, const LayerSlots& slots, std::int64_t layer);
  void product(LayerProduct which, const LayerPlaces& places, const void* source, void* result,
               Finish finish, bool residual = false);
  void add_and_norm(LayerProduct which, const LayerPlaces& places, const void* source, int delta,
                    NormArgs norm);
  void attention(const Part& part, const LayerPlaces& places, const LayerSlots& slots);
  NormArgs norm(const Part& part, std::int64_t parameters, void* quantised, const float* scale);
  void feed_forward(const Part& part, const LayerPlaces& places, const LayerSlots& slots);
  bool erf_in_product(std::int64_t rows) const;
  void decode();
  void join();
  void head();
  void keep(Segment segment, std::int64_t layers);
  void finish();

  void add(Work work) {
    program_.steps.push_back({std::move(work), branch_, phase_, layer_, operation_});
  }

  // Places.

  std::size_t phases() const { return plan_.phases.size(); }
  const Part& part(Segment segment) const { return layout_.part(segment); }
  void* address(int slot) const { return offset(bases_.activations, program_.memory.offset(slot)); }
  void* weights(std::int64_t at) const { return at < 0 ? nullptr : offset(bases_.weights, at); }
  const float* weight_floats(std::int64_t at) const {
    return static_cast<const float*>(weights(at));
  }
  template <class T>
  const T* staged(std::int64_t at) const {
    return reinterpret_cast<const T*>(
        offset(layout_.in_place() ? bases_.staging : bases_.session, at));
  }
  Norm norm_at(std::int64_t parameters) const {
    return {weight_floats(parameters), static_cast<float>(config_.layer_norm_eps)};
  }
  const LayerPlaces& places_of(std::int64_t layer) const {
    return request_.places.layers[static_cast<std::size_t>(request_.options.one_layer ? 0 : layer)];
  }
  /// Scale of a product's weights; null unless fp8.
  const float* weight_scale(const LayerPlaces& places, LayerProduct which) const {
    return scale(places, static_cast<std::int64_t>(which));
  }
  /// Of what it multiplies its weights by.
  const float* source_scale(const LayerPlaces& places, LayerProduct which) const {
    return scale(places,
                 static_cast<std::int64_t>(kLayerProducts) + static_cast<std::int64_t>(which));
  }
  const float* scale(const LayerPlaces& places, std::int64_t number) const {
    return places.scales < 0 ? nullptr : weight_floats(places.scales + number * kScaleBytes);
  }

  const ProgramRequest& request_;
  const ModelConfig& config_;
  const Plan& plan_;
  const Shape& shape_;
  const Bases& bases_;
  const Widths& widths_;
  std::int64_t d_;        ///< of a row as it is stored
  std::int64_t padding_;  ///< of these
  Element element_;
  Program program_;
  ProgramLayout layout_;
  // Of what is being added.
  Branch branch_ = Branch::main;
  std::size_t phase_ = 0;
  std::int64_t layer_ = -1;
  int operation_ = 0;
};

void Builder::add_steps() {
  branch_ = Branch::main;
  program_.landing.clear();
  if (!layout_.in_place()) {
    add(CopyArgs{bases_.staging, bases_.session, program_.head_at, true});
  }
  if (layout_.beside()) {
    add(Fork{});
  }
  for (std::size_t index = 0; index < phases(); ++index) {
    add_phase(index);
  }
}

void Builder::add_phase(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  phase_ = index;
  layer_ = -1;
  operation_ = 0;
  branch_ = layout_.branch_of(phase);
  switch (phase.kind) {
    case PhaseKind::embed:
      embed(phase);
      keep(phase.segment, 0);
      break;
    case PhaseKind::encode:
      encode(index);
      break;
    case PhaseKind::load:
      program_.second_part = layout_.copies() ? program_.steps.size() : 0;
      decode();
      break;
    case PhaseKind::join:
      if (layout_.beside()) {
        add(Meet{});
      }
      join();
      keep(Segment::joint, plan_.split);
      break;
    case PhaseKind::head:
      head();
      break;
  }
}

void Builder::embed(const Phase& phase) {
  const Part& target = part(phase.segment);
  EmbedArgs args{};
  args.element = element_;
  args.rows = target.rows;
  args.d = d_;
  args.ids = staged<std::int32_t>(0);
  args.tokens = layout_.tables().tokens(phase.segment, bases_.session);
  args.first_id = layout_.tables().first_id(phase.segment);
  args.words = weights(request_.places.words);
  args.positions = weights(request_.places.positions);
  args.types = weights(request_.places.types);
  args.norm = norm_at(request_.places.embedding_norm);
  args.out = address(target.hidden);
  args.padding = padding_;
  add(args);
}

void Builder::encode(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  const Part& target = part(phase.segment);
  const LayerSlots& slots = layout_.layers(index);
  layer_ = phase.first_layer;
  if (slots.hidden8 >= 0) {  // what comes from an embedding or a join has no e4m3 copy yet
    add(QuantiseArgs{element_, target.rows * d_, address(target.hidden), address(slots.hidden8),
                     source_scale(places_of(phase.first_layer), LayerProduct::qkv)});
  }
  for (std::int64_t number = phase.first_layer; number < phase.last_layer; ++number) {
    layer(phase, slots, number);
    keep(phase.segment, number + 1);
  }
}

/// The seven operations of model/layer_cost.hpp, each one kernel; erf GELU, where no product does
/// it, and e4m3 copies of what no kernel of ours writes are one more each.
void Builder::layer(const Phase& phase, const LayerSlots& slots, std::int64_t number) {
  const LayerPlaces& places = places_of(number);
  const Part& target = part(phase.segment);
  void* hidden = address(target.hidden);
  const bool scaled = slots.hidden8 >= 0;
  const void* source = scaled ? address(slots.hidden8) : hidden;
  layer_ = number;
  operation_ = 0;
  product(LayerProduct::qkv, places, source, address(slots.qkv), Finish::bias);
  ++operation_;
  attention(target, places, slots);
  if (scaled) {
    add(QuantiseArgs{element_, target.rows * widths_.heads.size(), address(slots.context),
                     address(slots.context8), source_scale(places, LayerProduct::out)});
  }
  ++operation_;
  add_and_norm(LayerProduct::out, places, address(scaled ? slots.context8 : slots.context),
               slots.out_delta,
               norm(target, places.attention_norm, scaled ? address(slots.hidden8) : nullptr,
                    source_scale(places, LayerProduct::ffn1)));
  ++operation_;
  feed_forward(target, places, slots);
  ++operation_;
  const bool more = scaled && number + 1 < phase.last_layer;
  add_and_norm(LayerProduct::ffn2, places, address(scaled ? slots.ffn8 : slots.ffn),
               slots.ffn2_delta,
               norm(target, places.ffn_norm, more ? address(slots.hidden8) : nullptr,
                    more ? source_scale(places_of(number + 1), LayerProduct::qkv) : nullptr));
}

/// LayerNorm(hidden + product): the product goes onto the hidden states, or to rows of its own
/// which the norm adds.
void Builder::add_and_norm(LayerProduct which, const LayerPlaces& places, const void* source,
                           int delta, NormArgs norm) {
  void* result = delta >= 0 ? address(delta) : norm.hidden;
  product(which, places, source, result, Finish::bias, delta < 0);
  ++operation_;
  norm.delta = delta >= 0 ? result : nullptr;
  add(norm);
}

void Builder::product(LayerProduct which, const LayerPlaces& places, const void* source,
                      void* result, Finish finish, bool residual) {
  const auto index = static_cast<std::size_t>(which);
  ProductArgs args{};
  args.problem =
      layer_problem(request_, which, part(plan_.phases[phase_].segment).rows, finish, residual);
  args.weights = weights(places.weight[index]);
  args.source = source;
  args.result = result;
  args.bias = weights(places.bias[index]);
  args.weight_scale = weight_scale(places, which);
  args.source_scale = source_scale(places, which);
  add(args);
}

void Builder::attention(const Part& part, const LayerPlaces& places, const LayerSlots& slots) {
  const Segment segment = plan_.phases[phase_].segment;
  AttentionArgs args = layout_.tables().sequences(segment, bases_.session);
  args.element = element_;
  args.rows = part.rows;
  args.heads = config_.heads;
  args.d_head = widths_.heads.stored;
  args.qkv = address(slots.qkv);
  args.context = address(slots.context);
  if (config_.family == Family::xlnet) {
    args.relative = {request_.places.position_rows - 1, weights(places.position_keys),
                     weight_floats(places.key_bias), weight_floats(places.segments),
                     weight_floats(places.segment_bias)};
  }
  add(args);
}

NormArgs Builder::norm(const Part& part, std::int64_t parameters, void* quantised,
                       const float* scale) {
  return {element_, part.rows, d_,      norm_at(parameters), address(part.hidden), quantised,
          scale,    nullptr,   padding_};
}

void Builder::feed_forward(const Part& part, const LayerPlaces& places, const LayerSlots& slots) {
  const bool scaled = slots.hidden8 >= 0;
  const bool tanh = config_.activation == Activation::gelu_tanh;
  const bool whole = !scaled && (tanh || erf_in_product(part.rows));
  const Finish gelu = tanh ? Finish::bias_gelu_tanh : Finish::bias_gelu_erf;
  product(LayerProduct::ffn1, places, scaled ? address(slots.hidden8) : address(part.hidden),
          address(slots.ffn), whole ? gelu : Finish::bias);
  if (!whole) {
    add(GeluArgs{element_, config_.activation, part.rows * widths_.feed_forward.size(),
                 address(slots.ffn), scaled ? address(slots.ffn8) : nullptr,
                 source_scale(places, LayerProduct::ffn2)});
  }
}

bool Builder::erf_in_product(std::int64_t rows) const {
  return request_.gelu_erf_in_product &&
         request_.gelu_erf_in_product(
             layer_problem(request_, LayerProduct::ffn1, rows, Finish::bias, false));
}

void Builder::decode() {
  DecodeArgs args{};
  args.element = element_;
  args.stored = request_.options.cache_dtype;
  args.d = d_;
  args.row_bytes = encoded_bytes(args.stored, 1, config_.d_model);
  args.passages = staged<const std::byte*>(program_.pointers_at);
  args.run = layout_.tables().loads(bases_.session);
  args.runs = layout_.tables().load_count();
  args.out = address(part(Segment::joint).hidden);
  args.padding = padding_;
  add(args);
}

void Builder::join() {
  JoinArgs args{};
  args.element = element_;
  args.d = d_;
  args.run = layout_.tables().joins(bases_.session);
  args.runs = layout_.tables().join_count();
  args.questions = address(part(Segment::question).hidden);
  const int passages = part(Segment::passage).hidden;
  args.passages = passages < 0 ? nullptr : address(passages);
  args.joint = address(part(Segment::joint).hidden);
  add(args);
}

void Builder::head() {
  const Part& joint = part(Segment::joint);
  auto* out = static_cast<float*>(address(layout_.head()));
  DenseArgs args{};
  args.element = element_;
  args.rows = joint.rows;
  args.d = d_;
  args.outputs = config_.head_outputs();
  args.from = address(joint.hidden);
  args.weight = weight_floats(request_.places.head_weight);
  args.bias = weight_floats(request_.places.head_bias);
  args.out = out;
  if (config_.head == HeadKind::classes) {
    DenseArgs pooler = args;
    pooler.rows = shape_.pairs();
    pooler.outputs = d_;
    pooler.chosen = layout_.tables().chosen(bases_.session);
    pooler.weight = weight_floats(request_.places.pooler_weight);
    pooler.bias = weight_floats(request_.places.pooler_bias);
    pooler.tanh = true;
    pooler.out = static_cast<float*>(address(layout_.pooled()));
    add(pooler);
    args.element = Element::f32;
    args.rows = pooler.rows;
    args.from = pooler.out;
  }
  add(args);
  add(CopyArgs{out, offset(bases_.staging, program_.head_at), program_.head_floats * kFloatBytes,
               false});
}

void Builder::keep(Segment segment, std::int64_t layers) {
  for (const KeptSlot& kept : layout_.kept()) {
    if (kept.segment != segment || kept.layers != layers) {
      continue;
    }
    const Part& from = part(segment);
    auto* to = static_cast<float*>(address(kept.slot));
    add(WidenArgs{element_, from.rows * d_, address(from.hidden), to});
    program_.kept.push_back({segment, layers, {to, Element::f32, from.rows, config_.d_model, d_}});
  }
}

void Builder::finish() {
  if (!layout_.copies()) {
    program_.second_part = program_.steps.size();
  }
  const Part& last = part(plan_.output_segment());
  program_.output = {address(last.hidden), element_, last.rows, config_.d_model, d_};
  program_.tables = layout_.tables().bytes();
  program_.tables_at = layout_.tables().at();
  program_.session_bytes =
      layout_.tables().at() + static_cast<std::int64_t>(program_.tables.size());
  program_.staging_bytes = program_.head_at + program_.head_floats * kFloatBytes;
  if (plan_.loads_passages()) {
    for (const std::int64_t tokens : shape_.passage_tokens) {
      program_.passage_bytes.push_back(
          encoded_bytes(request_.options.cache_dtype, tokens, config_.d_model));
    }
  }
  if (layout_.copies()) {
    for (const std::int64_t bytes : program_.passage_bytes) {
      const std::int64_t at = (program_.session_bytes + 255) / 256 * 256;
      program_.landing.push_back(offset(bases_.session, at));
      program_.session_bytes = at + bytes;
    }
  }
  for (std::size_t index = 0; index < phases(); ++index) {
    program_.phase_bytes.push_back(
        program_.memory.alive_bytes(first_tick(index), first_tick(index + 1) - 1));
  }
  add_range_marks(config_, plan_, request_.options.detail, program_);
}

}  // namespace

Program make_program(const ProgramRequest& request, const Bases& bases) {
  return Builder(request, bases).build();
}

}  // namespace deformer::cuda
