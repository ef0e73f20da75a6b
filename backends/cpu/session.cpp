#include "backends/cpu/session.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "cache/codec.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

std::int64_t tick(std::size_t phase) {
  return static_cast<std::int64_t>(phase) * Encoder::kTicks;
}

void copy_floats(const float* from, std::int64_t count, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count * kFloatBytes));
}

std::span<const float> view(const float* floats, std::int64_t count) {
  return floats == nullptr ? std::span<const float>{}
                           : std::span(floats, static_cast<std::size_t>(count));
}

}  // namespace

CpuSession::CpuSession(std::shared_ptr<const PackedModel> model, std::shared_ptr<Arena> arena,
                       Plan plan, Shape shape, SessionOptions options)
    : model_(std::move(model)),
      arena_(std::move(arena)),
      plan_(std::move(plan)),
      shape_(std::move(shape)),
      options_(std::move(options)),
      team_(options_.threads, options_.processors),
      stride_(row_stride(model_->config().d_model)),
      phase_ns_(plan_.phases.size(), 0),
      log_(range_tree(plan_ranges(model_->config(), plan_, options_.detail)), options_.threads),
      recorded_(options_.detail),
      phase_ranges_(phase_ranges(plan_ranges(model_->config(), plan_, options_.detail))) {
  omp_set_num_threads(options_.threads);  // before primitives are made: they are tuned to it
  plan_parts();
  for (std::size_t phase = 0; phase < plan_.phases.size(); ++phase) {
    plan_phase(phase);
  }
  plan_kept_states();
  plan_head();
  plan_output();
  memory_.place();
  arena_->grow(memory_.peak_bytes());
}

std::int64_t CpuSession::last_tick() const {
  return tick(plan_.phases.size());
}

/// Gives each segment that a phase writes its hidden states, alive until nobody needs them: texts
/// until the join, what is left at the end for good.
void CpuSession::plan_parts() {
  const auto joined = std::ranges::find(plan_.phases, PhaseKind::join, &Phase::kind);
  const bool has_join = joined != plan_.phases.end();
  const std::int64_t join_tick = tick(static_cast<std::size_t>(joined - plan_.phases.begin()));
  for (std::size_t phase = 0; phase < plan_.phases.size(); ++phase) {
    const bool loads = plan_.phases[phase].kind == PhaseKind::load;
    const Segment segment = loads ? Segment::joint : plan_.phases[phase].segment;
    if (has_part(segment)) {
      continue;
    }
    Part& found = part(segment);
    found.cumulative = cumulative_tokens(shape_, segment);
    const std::int64_t last = has_join && segment != Segment::joint ? join_tick : last_tick();
    found.hidden = memory_.add(found.cumulative.back() * stride_ * kFloatBytes, tick(phase), last);
  }
}

void CpuSession::plan_phase(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  Part& target = part(phase.kind == PhaseKind::load ? Segment::joint : phase.segment);
  const std::int64_t hidden_bytes =
      target.cumulative.back() * model_->config().d_model * kFloatBytes;
  switch (phase.kind) {
    case PhaseKind::embed:
      target.tokens = embedded_tokens(plan_, shape_, phase.segment);
      check_positions();
      requested_bytes_ += hidden_bytes;
      break;
    case PhaseKind::encode:
      target.encoder.emplace(*model_, target.cumulative,
                             first_text_tokens(shape_, phase.segment, plan_.order),
                             options_.threads, memory_, target.hidden, tick(index));
      requested_bytes_ +=
          (phase.last_layer - phase.first_layer) * target.encoder->requested_bytes_per_layer();
      break;
    case PhaseKind::load:
      load_copies_ = load_copies(plan_, shape_);
      break;
    case PhaseKind::join:
      join_copies_ = join_copies(plan_, shape_);
      requested_bytes_ += hidden_bytes;
      break;
    case PhaseKind::head:
      break;
  }
}

void CpuSession::check_positions() const {
  const bool relative = model_->config().family == Family::xlnet;
  std::int64_t needed = 0;
  for (const Part& any : parts_) {
    for (const EmbeddedToken& token : any.tokens) {
      needed = std::max(needed, token.position + 1);
    }
    // Relative positions reach from one end of a sequence to the other, whoever embedded it.
    for (std::size_t i = 0; relative && i + 1 < any.cumulative.size(); ++i) {
      needed = std::max(needed, any.cumulative[i + 1] - any.cumulative[i]);
    }
  }
  if (needed <= model_->positions()) {
    return;
  }
  if (model_->config().positions_grow) {
    throw BadInput(
        fmt::format("{} was loaded with {} positions and this shape needs {}: ask for more at load",
                    model_->config().name, model_->positions(), needed));
  }
  throw BadInput(fmt::format("{} has {} positions, this shape needs {}: use shorter texts",
                             model_->config().name, model_->positions(), needed));
}

void CpuSession::plan_kept_states() {
  for (std::size_t index = 0; index < plan_.phases.size(); ++index) {
    const Phase& phase = plan_.phases[index];
    if (phase.kind == PhaseKind::embed) {
      add_kept(phase.segment, 0, tick(index));
    } else if (phase.kind == PhaseKind::join) {
      add_kept(Segment::joint, plan_.split, tick(index));
    } else if (phase.kind == PhaseKind::encode) {
      for (std::int64_t layers = phase.first_layer + 1; layers <= phase.last_layer; ++layers) {
        add_kept(phase.segment, layers, tick(index));
      }
    }
  }
}

void CpuSession::add_kept(Segment segment, std::int64_t layers, std::int64_t first_tick) {
  if (std::ranges::find(options_.keep_layers, layers) == options_.keep_layers.end()) {
    return;
  }
  const std::int64_t bytes =
      part(segment).cumulative.back() * model_->config().d_model * kFloatBytes;
  kept_.push_back({segment, layers, memory_.add(bytes, first_tick, last_tick())});
  requested_bytes_ += bytes;
}

/// Hidden states with padding behind their rows are copied out densely.
void CpuSession::plan_output() {
  const std::int64_t d = model_->config().d_model;
  if (stride_ != d) {
    const std::int64_t bytes = part(plan_.output_segment()).cumulative.back() * d * kFloatBytes;
    output_ = memory_.add(bytes, last_tick(), last_tick());
    requested_bytes_ += bytes;
  }
}

void CpuSession::plan_head() {
  const auto found = std::ranges::find(plan_.phases, PhaseKind::head, &Phase::kind);
  if (found == plan_.phases.end()) {
    return;
  }
  const std::int64_t first = tick(static_cast<std::size_t>(found - plan_.phases.begin()));
  const bool classes = model_->config().head == HeadKind::classes;
  const std::int64_t entries = classes ? shape_.pairs() : part(Segment::joint).cumulative.back();
  head_floats_ = entries * model_->config().head_outputs();
  head_ = memory_.add(head_floats_ * kFloatBytes, first, last_tick());
  requested_bytes_ += head_floats_ * kFloatBytes;
  if (classes) {
    const std::int64_t pooled_bytes = entries * model_->config().d_model * kFloatBytes;
    pooled_ = memory_.add(pooled_bytes, first, first);
    requested_bytes_ += pooled_bytes;
  }
}

float* CpuSession::floats(int slot) const {
  return base_ == nullptr ? nullptr : reinterpret_cast<float*>(base_ + memory_.offset(slot));
}

void CpuSession::bind(std::byte* base) {
  base_ = base;
  for (Part& any : parts_) {
    if (any.hidden >= 0) {
      any.rows = floats(any.hidden);
    }
    if (any.encoder) {
      any.encoder->bind(base, memory_);
    }
  }
}

void CpuSession::run(const Inputs& inputs) {
  if (std::byte* base = arena_->acquire(); base != base_) {
    bind(base);
  }
  if (recorded_ == Detail::none) {
    for (std::size_t index = 0; index < plan_.phases.size(); ++index) {
      run_phase(index, inputs);
    }
    return;
  }
  std::int64_t start_ns = log_.open(0);
  for (std::size_t index = 0; index < plan_.phases.size(); ++index) {
    log_.open(phase_ranges_[index], start_ns);
    run_phase(index, inputs);
    const std::int64_t end_ns = log_.close(phase_ranges_[index]);
    phase_ns_[index] = end_ns - start_ns;
    start_ns = end_ns;
  }
  log_.close(0);
}

/// A phase is one region, unless it encodes with products that a team can't share.
void CpuSession::run_phase(std::size_t index, const Inputs& inputs) {
  const Phase& phase = plan_.phases[index];
  if (phase.kind == PhaseKind::encode && !part(phase.segment).encoder->shared()) {
    encode_alone(index);
  } else if (recorded_ > Detail::phase) {
    team_.run([&](const Worker& worker) { record_phase(index, inputs, worker); });
  } else {
    team_.run([&](const Worker& worker) { work_phase(phase, inputs, worker); });
  }
  if (index + 1 == plan_.phases.size() && output_ >= 0) {
    team_.run([&](const Worker& worker) { publish(worker); });
  }
}

void CpuSession::encode_alone(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  const Encoder& encoder = *part(phase.segment).encoder;
  omp_set_num_threads(options_.threads);
  std::optional<RangeCursor> cursor;
  if (recorded_ > Detail::phase) {
    cursor = log_.cursor(0, phase_ranges_[index]);
    cursor->begin();
  }
  for (std::int64_t layer = phase.first_layer; layer < phase.last_layer; ++layer) {
    encoder.run_layer(weights_layer(layer), team_, recorded_ == Detail::op ? &*cursor : nullptr);
    if (!kept_.empty()) {
      team_.run([&](const Worker& worker) { keep(phase.segment, layer + 1, worker); });
    }
    if (recorded_ == Detail::layer) {
      cursor->worked();
      cursor->met();
    }
  }
}

/// The same work as work_phase, with the stamps of its layers or operations.
void CpuSession::record_phase(std::size_t index, const Inputs& inputs, const Worker& worker) {
  const Phase& phase = plan_.phases[index];
  RangeCursor cursor = log_.cursor(worker.index(), phase_ranges_[index]);
  cursor.begin();
  if (phase.kind == PhaseKind::encode) {
    work_layers(phase, worker, &cursor);
    return;
  }
  work_phase(phase, inputs, worker);
  cursor.worked();
  worker.barrier();
  cursor.met();
}

void CpuSession::work_layers(const Phase& phase, const Worker& worker, RangeCursor* cursor) const {
  RangeCursor* operations = recorded_ == Detail::op ? cursor : nullptr;
  part(phase.segment).encoder->enter(worker);
  for (std::int64_t layer = phase.first_layer; layer < phase.last_layer; ++layer) {
    const std::int64_t following = layer + 1 < phase.last_layer ? weights_layer(layer + 1) : -1;
    part(phase.segment).encoder->work_layer(weights_layer(layer), following, worker, operations);
    keep(phase.segment, layer + 1, worker);
    if (cursor != nullptr && operations == nullptr) {
      cursor->worked();
      cursor->met();
    }
  }
}

void CpuSession::work_phase(const Phase& phase, const Inputs& inputs, const Worker& worker) const {
  switch (phase.kind) {
    case PhaseKind::embed:
      embed(part(phase.segment), inputs, worker);
      worker.barrier();
      keep(phase.segment, 0, worker);
      break;
    case PhaseKind::encode:
      work_layers(phase, worker, nullptr);
      break;
    case PhaseKind::load:
      load(inputs, worker);
      break;
    case PhaseKind::join:
      join(worker);
      worker.barrier();
      keep(Segment::joint, plan_.split, worker);
      break;
    case PhaseKind::head:
      head(worker);
      break;
  }
}

void CpuSession::embed(const Part& target, const Inputs& inputs, const Worker& worker) const {
  const auto share = worker.share(static_cast<std::int64_t>(target.tokens.size()));
  for (std::int64_t row = share.first; row < share.last; ++row) {
    const EmbeddedToken& token = target.tokens[static_cast<std::size_t>(row)];
    const auto ids = token.from_passage ? inputs.passage_ids : inputs.question_ids;
    model_->embed(ids[static_cast<std::size_t>(token.index)], token.position, token.type,
                  target.rows + row * stride_);
  }
}

void CpuSession::load(const Inputs& inputs, const Worker& worker) const {
  const std::int64_t d = model_->config().d_model;
  const std::int64_t row_bytes = encoded_bytes(options_.cache_dtype, 1, d);
  float* joint = part(Segment::joint).rows;
  const auto share = worker.share(static_cast<std::int64_t>(load_copies_.size()));
  for (std::int64_t i = share.first; i < share.last; ++i) {
    const RowCopy& copy = load_copies_[static_cast<std::size_t>(i)];
    const std::byte* passage = inputs.cached_passages[static_cast<std::size_t>(copy.text)];
    const std::byte* source = passage + copy.source_row * row_bytes;
    float* target = joint + copy.target_row * stride_;
    if (stride_ == d) {
      decode_rows(options_.cache_dtype, source, copy.rows, d, target);
      continue;
    }
    for (std::int64_t row = 0; row < copy.rows; ++row) {
      decode_rows(options_.cache_dtype, source + row * row_bytes, 1, d, target + row * stride_);
    }
  }
}

void CpuSession::join(const Worker& worker) const {
  float* joint = part(Segment::joint).rows;
  const auto share = worker.share(static_cast<std::int64_t>(join_copies_.size()));
  for (std::int64_t i = share.first; i < share.last; ++i) {
    const RowCopy& copy = join_copies_[static_cast<std::size_t>(i)];
    copy_floats(part(copy.source).rows + copy.source_row * stride_, copy.rows * stride_,
                joint + copy.target_row * stride_);
  }
}

void CpuSession::head(const Worker& worker) const {
  if (model_->config().head == HeadKind::span) {
    span_head(worker);
  } else {
    classes_head(worker);
  }
}

void CpuSession::span_head(const Worker& worker) const {
  const std::int64_t d = model_->config().d_model;
  const Part& joint = part(Segment::joint);
  const float* weight = model_->head_weight();
  const float* bias = model_->head_bias();
  float* out = floats(head_);
  const auto share = worker.share(joint.cumulative.back());
  for (std::int64_t row = share.first; row < share.last; ++row) {
    const float* hidden = joint.rows + row * stride_;
    out[2 * row] = kernels::dot(hidden, weight, d) + bias[0];
    out[2 * row + 1] = kernels::dot(hidden, weight + d, d) + bias[1];
  }
}

void CpuSession::classes_head(const Worker& worker) const {
  const std::int64_t d = model_->config().d_model;
  const std::int64_t classes = model_->config().classes;
  const std::int64_t pairs = shape_.pairs();
  const bool last = model_->config().classifies_by_last_token();
  const Part& joint = part(Segment::joint);
  float* pooled = floats(pooled_);
  float* out = floats(head_);
  const auto features = worker.share(d);
  for (std::int64_t i = features.first; i < features.last; ++i) {
    const float* weight = model_->pooler_weight() + i * d;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const auto sequence = static_cast<std::size_t>(pair);
      const std::int64_t row =
          last ? joint.cumulative[sequence + 1] - 1 : joint.cumulative[sequence];
      pooled[pair * d + i] =
          std::tanh(kernels::dot(joint.rows + row * stride_, weight, d) + model_->pooler_bias()[i]);
    }
  }
  worker.barrier();
  const auto share = worker.share(pairs);
  for (std::int64_t pair = share.first; pair < share.last; ++pair) {
    for (std::int64_t label = 0; label < classes; ++label) {
      out[pair * classes + label] =
          kernels::dot(pooled + pair * d, model_->head_weight() + label * d, d) +
          model_->head_bias()[label];
    }
  }
}

/// Copies that segment's rows where they are to be kept after so many layers.
void CpuSession::keep(Segment segment, std::int64_t layers, const Worker& worker) const {
  for (const KeptState& state : kept_) {
    if (state.segment == segment && state.layers == layers) {
      copy_dense(part(segment), floats(state.slot), worker);
      worker.barrier();  // before the next layer overwrites them
    }
  }
}

void CpuSession::publish(const Worker& worker) const {
  copy_dense(part(plan_.output_segment()), floats(output_), worker);
}

void CpuSession::copy_dense(const Part& from, float* to, const Worker& worker) const {
  const std::int64_t d = model_->config().d_model;
  const auto share = worker.share(from.cumulative.back());
  for (std::int64_t row = share.first; row < share.last; ++row) {
    copy_floats(from.rows + row * stride_, d, to + row * d);
  }
}

std::span<const float> CpuSession::output() const {
  const Part& last = part(plan_.output_segment());
  return view(output_ < 0 ? last.rows : floats(output_),
              last.cumulative.back() * model_->config().d_model);
}

std::span<const float> CpuSession::head_output() const {
  return head_ < 0 ? std::span<const float>{} : view(floats(head_), head_floats_);
}

std::span<const float> CpuSession::layer_output(Segment segment, std::int64_t layers) const {
  for (const KeptState& state : kept_) {
    if (state.segment == segment && state.layers == layers) {
      return view(floats(state.slot), part(segment).cumulative.back() * model_->config().d_model);
    }
  }
  return {};
}

SessionMemory CpuSession::memory() const {
  SessionMemory memory{.peak_bytes = memory_.peak_bytes(),
                       .requested_bytes = requested_bytes_,
                       .allocated_bytes = arena_->bytes()};
  for (std::size_t phase = 0; phase < plan_.phases.size(); ++phase) {
    memory.phase_bytes.push_back(memory_.alive_bytes(tick(phase), tick(phase + 1) - 1));
  }
  return memory;
}

std::optional<std::int64_t> CpuSession::launches() const {
  std::int64_t regions = output_ >= 0 ? 1 : 0;
  for (const Phase& phase : plan_.phases) {
    const bool alone = phase.kind == PhaseKind::encode && !part(phase.segment).encoder->shared();
    const std::int64_t layers = phase.last_layer - phase.first_layer;
    regions +=
        alone ? layers * (part(phase.segment).encoder->regions_a_layer() + (kept_.empty() ? 0 : 1))
              : 1;
  }
  return regions;
}

}  // namespace deformer
