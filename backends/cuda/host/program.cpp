#include "backends/cuda/host/program.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "backends/cuda/host/block_tables.hpp"
#include "backends/cuda/host/offset.hpp"
#include "backends/cuda/host/range_marks.hpp"
#include "backends/plugin/rows.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"
#include "model/layer_cost.hpp"

namespace deformer::cuda {
namespace {

/// Ticks of a layer: 0 QKV, 1 attention, 2 output projection, 3 feed-forward.
constexpr std::int64_t kTicks = 4;
constexpr std::int64_t kFloatBytes = sizeof(float);

std::int64_t tick(std::size_t phase) {
  return static_cast<std::int64_t>(phase) * kTicks;
}

std::int64_t rows_of(const Shape& shape, Segment segment) {
  return cumulative_tokens(shape, segment).back();
}

/// A segment that the plan has.
struct Part {
  int hidden = -1;  ///< slot
  std::int64_t rows = 0;
};

/// Buffers of the layers of one phase.
struct LayerSlots {
  int qkv, context, ffn;
  int hidden8 = -1, context8 = -1, ffn8 = -1;
};

class Builder {
 public:
  Builder(const ProgramRequest& request, const Bases& bases)
      : request_(request),
        config_(request.config),
        plan_(request.plan),
        shape_(request.shape),
        bases_(bases),
        d_(config_.d_model),
        element_(request.numbers.activations) {}

  Program build() {
    check_sizes();
    find_branches();
    plan_staging();
    plan_parts();
    plan_phases();
    tables_.place(program_.session_bytes);
    program_.memory.place();
    add_steps();
    finish();
    return std::move(program_);
  }

 private:
  // What is needed, before any address is known.

  void check_sizes() const;
  void find_branches();
  void plan_staging();
  void plan_parts();
  void plan_phases();
  LayerSlots plan_layers(std::size_t index, const Part& part);
  void plan_kept(std::size_t index);
  void plan_head(std::size_t index);
  int slot(std::int64_t bytes, std::int64_t first, std::int64_t last) {
    program_.requested_bytes += bytes;
    return program_.memory.add(bytes, first, last, branch_);
  }

  // Steps.

  void add_steps();
  void add_phase(std::size_t index);
  void embed(const Phase& phase);
  void encode(std::size_t index);
  void layer(const Phase& phase, const LayerSlots& slots, std::int64_t layer);
  void product(LayerProduct which, const LayerPlaces& places, const void* source, void* result,
               Finish finish);
  void attention(const Part& part, const LayerPlaces& places, const LayerSlots& slots);
  void norm(const Part& part, std::int64_t parameters, const void* quantised, const float* scale);
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
  std::int64_t last_tick() const { return tick(phases()); }
  Part& part(Segment segment) { return parts_[static_cast<std::size_t>(segment)]; }
  void* address(int slot) const { return offset(bases_.activations, program_.memory.offset(slot)); }
  void* weights(std::int64_t at) const { return at < 0 ? nullptr : offset(bases_.weights, at); }
  const float* weight_floats(std::int64_t at) const {
    return static_cast<const float*>(weights(at));
  }
  template <class T>
  const T* staged(std::int64_t at) const {
    return reinterpret_cast<const T*>(offset(bases_.session, at));
  }
  Branch branch_of(const Phase& phase) const {
    return beside_ && phase.segment == Segment::passage ? Branch::side : Branch::main;
  }
  bool copies() const {
    return plan_.loads_passages() && request_.options.cache_at != CachePlace::device;
  }
  Norm norm_at(std::int64_t parameters) const {
    return {weight_floats(parameters), static_cast<float>(config_.layer_norm_eps)};
  }
  const LayerPlaces& places_of(std::int64_t layer) const {
    return request_.places.layers[static_cast<std::size_t>(request_.options.one_layer ? 0 : layer)];
  }
  /// Scale of what a product multiplies its weights by; null unless fp8.
  const float* source_scale(const LayerPlaces& places, LayerProduct which) const {
    return places.scales < 0
               ? nullptr
               : weight_floats(places.scales) + kLayerProducts + static_cast<std::size_t>(which);
  }

  const ProgramRequest& request_;
  const ModelConfig& config_;
  const Plan& plan_;
  const Shape& shape_;
  const Bases& bases_;
  std::int64_t d_;
  Element element_;
  Program program_;
  BlockTables tables_;
  std::array<Part, 3> parts_;
  std::vector<LayerSlots> layer_slots_;  ///< parallel to the plan's phases
  std::vector<std::pair<Segment, std::int64_t>> kept_;
  std::vector<int> kept_slots_;
  bool beside_ = false;
  int pooled_ = -1;  ///< slot
  int head_ = -1;    ///< slot
  // Of what is being added.
  Branch branch_ = Branch::main;
  std::size_t phase_ = 0;
  std::int64_t layer_ = -1;
  int operation_ = 0;
};

void Builder::check_sizes() const {
  const bool relative = config_.family == Family::xlnet;
  for (const Phase& phase : plan_.phases) {
    // Relative positions reach from one end of a sequence to the other, whoever embedded it.
    const bool counts = relative ? phase.kind != PhaseKind::head : phase.kind == PhaseKind::embed;
    const std::int64_t needed = counts ? longest(shape_, phase.segment) : 0;
    if (needed > request_.places.position_rows) {
      throw BadInput(
          fmt::format("{} was loaded with {} positions, this shape needs {}: {}", config_.name,
                      request_.places.position_rows, needed,
                      config_.positions_grow ? "ask for more at load" : "use shorter texts"));
    }
  }
  const std::int64_t rows = rows_of(shape_, Segment::joint);
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    throw Unavailable(
        fmt::format("cuda: expected at most {} rows in a batch, found {}; use a smaller batch",
                    std::numeric_limits<std::int32_t>::max(), rows));
  }
}

/// The side branch is for passages that wait for nothing: not while single layers are timed, and
/// not for passages that are still on their way from the host.
void Builder::find_branches() {
  const auto joined = std::ranges::find(plan_.phases, PhaseKind::join, &Phase::kind);
  const bool timed = request_.options.detail > Detail::phase;
  beside_ = joined != plan_.phases.end() && !timed && !copies();
  if (beside_) {
    program_.memory.join_at(tick(static_cast<std::size_t>(joined - plan_.phases.begin())));
  }
}

/// Ids and passage pointers lie at the same offsets in the pinned block and at the session's start.
void Builder::plan_staging() {
  const auto ids = [&](Segment segment) {
    return rows_of(shape_, segment) * static_cast<std::int64_t>(sizeof(std::int32_t));
  };
  const auto aligned = [](std::int64_t at) { return (at + 15) / 16 * 16; };
  const bool questions = std::ranges::any_of(plan_.phases, [](const Phase& phase) {
    return phase.kind == PhaseKind::embed && phase.segment != Segment::passage;
  });
  std::int64_t at = questions ? ids(Segment::question) : 0;
  program_.passage_ids_at = at;
  at += plan_.reads_passage_ids() ? ids(Segment::passage) : 0;
  program_.pointers_at = aligned(at);
  const auto texts = static_cast<std::int64_t>(shape_.passage_tokens.size());
  program_.head_at =
      aligned(program_.pointers_at +
              (plan_.loads_passages() ? texts * static_cast<std::int64_t>(sizeof(void*)) : 0));
  program_.session_bytes = program_.head_at;
}

/// Gives each segment that a phase writes its hidden states, alive until nobody needs them: texts
/// until the join, what is left at the end for good.
void Builder::plan_parts() {
  const auto joined = std::ranges::find(plan_.phases, PhaseKind::join, &Phase::kind);
  const bool has_join = joined != plan_.phases.end();
  const std::int64_t join_tick = tick(static_cast<std::size_t>(joined - plan_.phases.begin()));
  for (std::size_t index = 0; index < phases(); ++index) {
    const Phase& phase = plan_.phases[index];
    const Segment segment = phase.kind == PhaseKind::load ? Segment::joint : phase.segment;
    Part& found = part(segment);
    if (found.hidden >= 0) {
      continue;
    }
    branch_ = branch_of(phase);
    found.rows = rows_of(shape_, segment);
    const std::int64_t last = has_join && segment != Segment::joint ? join_tick : last_tick();
    found.hidden =
        program_.memory.add(found.rows * d_ * bytes_of(element_), tick(index), last, branch_);
  }
}

void Builder::plan_phases() {
  layer_slots_.resize(phases());
  for (std::size_t index = 0; index < phases(); ++index) {
    const Phase& phase = plan_.phases[index];
    branch_ = branch_of(phase);
    Part& target = part(phase.kind == PhaseKind::load ? Segment::joint : phase.segment);
    switch (phase.kind) {
      case PhaseKind::embed:
        tables_.add_tokens(phase.segment, plan_, shape_,
                           program_.passage_ids_at / static_cast<std::int64_t>(sizeof(int)));
        break;
      case PhaseKind::encode:
        tables_.add_sequences(phase.segment, plan_, shape_, d_);
        layer_slots_[index] = plan_layers(index, target);
        break;
      case PhaseKind::load:
        tables_.add_loads(plan_, shape_);
        break;
      case PhaseKind::join:
        tables_.add_joins(plan_, shape_);
        break;
      case PhaseKind::head:
        plan_head(index);
        break;
    }
    if (phase.kind != PhaseKind::encode && phase.kind != PhaseKind::head) {
      program_.requested_bytes += target.rows * d_ * bytes_of(element_);
    }
    plan_kept(index);
  }
}

LayerSlots Builder::plan_layers(std::size_t index, const Part& part) {
  const std::int64_t first = tick(index);
  const std::int64_t before = program_.requested_bytes;
  const auto bytes = [&](std::int64_t columns) { return part.rows * columns * bytes_of(element_); };
  LayerSlots slots{};
  slots.qkv = slot(bytes(3 * d_), first, first + 1);
  slots.context = slot(bytes(d_), first + 1, first + 2);
  slots.ffn = slot(bytes(config_.d_ff), first + 3, first + 3);
  if (request_.numbers.scaled()) {
    slots.hidden8 = slot(part.rows * d_, first, first + kTicks - 1);
    slots.context8 = slot(part.rows * d_, first + 1, first + 2);
    slots.ffn8 = slot(part.rows * config_.d_ff, first + 3, first + 3);
  }
  // Of each layer: these, both projections onto the residual and both norms.
  const Phase& phase = plan_.phases[index];
  const std::int64_t a_layer = program_.requested_bytes - before + bytes(4 * d_);
  program_.requested_bytes = before + (phase.last_layer - phase.first_layer) * a_layer;
  return slots;
}

void Builder::plan_kept(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  const auto wanted = [&](Segment segment, std::int64_t layers) {
    if (std::ranges::find(request_.options.keep_layers, layers) ==
        request_.options.keep_layers.end()) {
      return;
    }
    kept_.emplace_back(segment, layers);
    kept_slots_.push_back(slot(part(segment).rows * d_ * kFloatBytes, tick(index), last_tick()));
  };
  if (phase.kind == PhaseKind::embed) {
    wanted(phase.segment, 0);
  } else if (phase.kind == PhaseKind::join) {
    wanted(Segment::joint, plan_.split);
  } else if (phase.kind == PhaseKind::encode) {
    for (std::int64_t layers = phase.first_layer + 1; layers <= phase.last_layer; ++layers) {
      wanted(phase.segment, layers);
    }
  }
}

void Builder::plan_head(std::size_t index) {
  const bool classes = config_.head == HeadKind::classes;
  const std::int64_t entries = classes ? shape_.pairs() : part(Segment::joint).rows;
  program_.head_floats = entries * config_.head_outputs();
  head_ = slot(program_.head_floats * kFloatBytes, tick(index), last_tick());
  if (classes) {
    pooled_ = slot(entries * d_ * kFloatBytes, tick(index), tick(index));
    tables_.add_chosen(config_, shape_);
  }
}

void Builder::add_steps() {
  branch_ = Branch::main;
  program_.landing.clear();
  add(CopyArgs{bases_.staging, bases_.session, program_.head_at, true});
  if (beside_) {
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
  branch_ = branch_of(phase);
  switch (phase.kind) {
    case PhaseKind::embed:
      embed(phase);
      keep(phase.segment, 0);
      break;
    case PhaseKind::encode:
      encode(index);
      break;
    case PhaseKind::load:
      program_.second_part = copies() ? program_.steps.size() : 0;
      decode();
      break;
    case PhaseKind::join:
      if (beside_) {
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
  args.tokens = tables_.tokens(phase.segment, bases_.session);
  args.words = weights(request_.places.words);
  args.positions = weights(request_.places.positions);
  args.types = weights(request_.places.types);
  args.norm = norm_at(request_.places.embedding_norm);
  args.out = address(target.hidden);
  add(args);
}

void Builder::encode(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  const Part& target = part(phase.segment);
  const LayerSlots& slots = layer_slots_[index];
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
    add(QuantiseArgs{element_, target.rows * d_, address(slots.context), address(slots.context8),
                     source_scale(places, LayerProduct::out)});
  }
  ++operation_;
  product(LayerProduct::out, places, address(scaled ? slots.context8 : slots.context), hidden,
          Finish::bias);
  ++operation_;
  norm(target, places.attention_norm, scaled ? address(slots.hidden8) : nullptr,
       source_scale(places, LayerProduct::ffn1));
  ++operation_;
  feed_forward(target, places, slots);
  ++operation_;
  product(LayerProduct::ffn2, places, address(scaled ? slots.ffn8 : slots.ffn), hidden,
          Finish::bias);
  ++operation_;
  const bool more = scaled && number + 1 < phase.last_layer;
  norm(target, places.ffn_norm, more ? address(slots.hidden8) : nullptr,
       more ? source_scale(places_of(number + 1), LayerProduct::qkv) : nullptr);
}

void Builder::product(LayerProduct which, const LayerPlaces& places, const void* source,
                      void* result, Finish finish) {
  const auto index = static_cast<std::size_t>(which);
  const std::array<std::int64_t, kLayerProducts> in{d_, d_, d_, config_.d_ff};
  const std::array<std::int64_t, kLayerProducts> out{3 * d_, d_, config_.d_ff, d_};
  const bool residual = which == LayerProduct::out || which == LayerProduct::ffn2;
  const bool biased = places.bias[index] >= 0;
  ProductArgs args{};
  args.problem = lt_problem(request_.numbers, part(plan_.phases[phase_].segment).rows, in[index],
                            out[index], biased ? finish : Finish::none, residual);
  args.weights = weights(places.weight[index]);
  args.source = source;
  args.result = result;
  args.bias = weights(places.bias[index]);
  if (places.scales >= 0) {
    args.weight_scale = weight_floats(places.scales) + index;
    args.source_scale = source_scale(places, which);
  }
  add(args);
}

void Builder::attention(const Part& part, const LayerPlaces& places, const LayerSlots& slots) {
  const Segment segment = plan_.phases[phase_].segment;
  AttentionArgs args = tables_.sequences(segment, bases_.session);
  args.element = element_;
  args.rows = part.rows;
  args.heads = config_.heads;
  args.d_head = config_.d_head();
  args.qkv = address(slots.qkv);
  args.context = address(slots.context);
  if (config_.family == Family::xlnet) {
    args.relative = {request_.places.position_rows - 1, weights(places.position_keys),
                     weight_floats(places.key_bias), weight_floats(places.segments),
                     weight_floats(places.segment_bias)};
  }
  add(args);
}

void Builder::norm(const Part& part, std::int64_t parameters, const void* quantised,
                   const float* scale) {
  add(NormArgs{element_, part.rows, d_, norm_at(parameters), address(part.hidden),
               const_cast<void*>(quantised), scale});
}

void Builder::feed_forward(const Part& part, const LayerPlaces& places, const LayerSlots& slots) {
  const bool scaled = slots.hidden8 >= 0;
  const bool tanh = config_.activation == Activation::gelu_tanh;
  const bool whole = !scaled && (tanh || erf_in_product(part.rows));
  const Finish gelu = tanh ? Finish::bias_gelu_tanh : Finish::bias_gelu_erf;
  product(LayerProduct::ffn1, places, scaled ? address(slots.hidden8) : address(part.hidden),
          address(slots.ffn), whole ? gelu : Finish::bias);
  if (!whole) {
    add(GeluArgs{element_, config_.activation, part.rows * config_.d_ff, address(slots.ffn),
                 scaled ? address(slots.ffn8) : nullptr, source_scale(places, LayerProduct::ffn2)});
  }
}

bool Builder::erf_in_product(std::int64_t rows) const {
  return request_.gelu_erf_in_product &&
         request_.gelu_erf_in_product(
             lt_problem(request_.numbers, rows, d_, config_.d_ff, Finish::bias, false));
}

void Builder::decode() {
  DecodeArgs args{};
  args.element = element_;
  args.stored = request_.options.cache_dtype;
  args.d = d_;
  args.row_bytes = encoded_bytes(args.stored, 1, d_);
  args.passages = staged<const std::byte*>(program_.pointers_at);
  args.run = tables_.loads(bases_.session);
  args.runs = tables_.load_count();
  args.out = address(part(Segment::joint).hidden);
  add(args);
}

void Builder::join() {
  JoinArgs args{};
  args.element = element_;
  args.d = d_;
  args.run = tables_.joins(bases_.session);
  args.runs = tables_.join_count();
  args.questions = address(part(Segment::question).hidden);
  const int passages = part(Segment::passage).hidden;
  args.passages = passages < 0 ? nullptr : address(passages);
  args.joint = address(part(Segment::joint).hidden);
  add(args);
}

void Builder::head() {
  const Part& joint = part(Segment::joint);
  auto* out = static_cast<float*>(address(head_));
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
    pooler.chosen = tables_.chosen(bases_.session);
    pooler.weight = weight_floats(request_.places.pooler_weight);
    pooler.bias = weight_floats(request_.places.pooler_bias);
    pooler.tanh = true;
    pooler.out = static_cast<float*>(address(pooled_));
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
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i] != std::pair(segment, layers)) {
      continue;
    }
    const Part& from = part(segment);
    auto* to = static_cast<float*>(address(kept_slots_[i]));
    add(WidenArgs{element_, from.rows * d_, address(from.hidden), to});
    program_.kept.push_back({segment, layers, {to, Element::f32, from.rows * d_}});
  }
}

void Builder::finish() {
  if (!copies()) {
    program_.second_part = program_.steps.size();
  }
  const Part& last = part(plan_.output_segment());
  program_.output = {address(last.hidden), element_, last.rows * d_};
  program_.tables = tables_.bytes();
  program_.tables_at = tables_.at();
  program_.session_bytes = tables_.at() + static_cast<std::int64_t>(program_.tables.size());
  program_.staging_bytes = program_.head_at + program_.head_floats * kFloatBytes;
  if (plan_.loads_passages()) {
    for (const std::int64_t tokens : shape_.passage_tokens) {
      program_.passage_bytes.push_back(encoded_bytes(request_.options.cache_dtype, tokens, d_));
    }
  }
  if (copies()) {
    for (const std::int64_t bytes : program_.passage_bytes) {
      const std::int64_t at = (program_.session_bytes + 255) / 256 * 256;
      program_.landing.push_back(offset(bases_.session, at));
      program_.session_bytes = at + bytes;
    }
  }
  for (std::size_t index = 0; index < phases(); ++index) {
    program_.phase_bytes.push_back(program_.memory.alive_bytes(tick(index), tick(index + 1) - 1));
  }
  add_range_marks(config_, plan_, request_.options.detail, program_);
}

}  // namespace

Program make_program(const ProgramRequest& request, const Bases& bases) {
  return Builder(request, bases).build();
}

}  // namespace deformer::cuda
