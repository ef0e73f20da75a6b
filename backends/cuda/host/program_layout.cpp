#include "backends/cuda/host/program_layout.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer::cuda {
namespace {

/// Ticks of a layer: 0 QKV, 1 attention, 2 output projection, 3 feed-forward.
constexpr std::int64_t kTicks = 4;
constexpr std::int64_t kFloatBytes = sizeof(float);

std::int64_t rows_of(const Shape& shape, Segment segment) {
  return cumulative_tokens(shape, segment).back();
}

}  // namespace

LtProblem layer_problem(const ProgramRequest& request, LayerProduct which, std::int64_t rows,
                        Finish finish, bool residual) {
  const auto [in, out] = sides_of(request.places.widths, which);
  const bool biased = request.places.layers.front().bias[static_cast<std::size_t>(which)] >= 0;
  return lt_problem(request.numbers, rows, in.size(), out.size(), biased ? finish : Finish::none,
                    residual);
}

std::int64_t first_tick(std::size_t phase) {
  return static_cast<std::int64_t>(phase) * kTicks;
}

ProgramLayout::ProgramLayout(const ProgramRequest& request, Program& program)
    : request_(request),
      config_(request.config),
      plan_(request.plan),
      shape_(request.shape),
      program_(program),
      widths_(request.places.widths),
      d_(widths_.model.size()),
      element_(request.numbers.activations) {
  check_sizes();
  find_branches();
  plan_staging();
  plan_parts();
  plan_phases();
  tables_.place(program_.session_bytes);
  program_.memory.place();
}

bool ProgramLayout::copies() const {
  return plan_.loads_passages() && request_.options.cache_at != CachePlace::device;
}

int ProgramLayout::slot(std::int64_t bytes, std::int64_t first, std::int64_t last) {
  program_.requested_bytes += bytes;
  return program_.memory.add(bytes, first, last, branch_);
}

void ProgramLayout::check_sizes() const {
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
void ProgramLayout::find_branches() {
  const auto joined = std::ranges::find(plan_.phases, PhaseKind::join, &Phase::kind);
  const bool timed = request_.options.detail > Detail::phase;
  beside_ = joined != plan_.phases.end() && !timed && !copies();
  if (beside_) {
    program_.memory.join_at(first_tick(static_cast<std::size_t>(joined - plan_.phases.begin())));
  }
}

/// Ids and passage pointers lie at the same offsets in the pinned block and at the session's start.
void ProgramLayout::plan_staging() {
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
void ProgramLayout::plan_parts() {
  const auto joined = std::ranges::find(plan_.phases, PhaseKind::join, &Phase::kind);
  const bool has_join = joined != plan_.phases.end();
  const std::int64_t join_tick =
      first_tick(static_cast<std::size_t>(joined - plan_.phases.begin()));
  for (std::size_t index = 0; index < phases(); ++index) {
    const Phase& phase = plan_.phases[index];
    const Segment segment = phase.kind == PhaseKind::load ? Segment::joint : phase.segment;
    Part& found = parts_[static_cast<std::size_t>(segment)];
    if (found.hidden >= 0) {
      continue;
    }
    branch_ = branch_of(phase);
    found.rows = rows_of(shape_, segment);
    const std::int64_t last = has_join && segment != Segment::joint ? join_tick : last_tick();
    found.hidden =
        program_.memory.add(found.rows * d_ * bytes_of(element_), first_tick(index), last, branch_);
  }
}

void ProgramLayout::plan_phases() {
  layers_.resize(phases());
  for (std::size_t index = 0; index < phases(); ++index) {
    const Phase& phase = plan_.phases[index];
    branch_ = branch_of(phase);
    const Part& target = part(phase.kind == PhaseKind::load ? Segment::joint : phase.segment);
    switch (phase.kind) {
      case PhaseKind::embed:
        tables_.add_tokens(phase.segment, plan_, shape_,
                           program_.passage_ids_at / static_cast<std::int64_t>(sizeof(int)));
        break;
      case PhaseKind::encode:
        tables_.add_sequences(phase.segment, plan_, shape_, widths_.heads.size());
        layers_[index] = plan_layers(index, target);
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

LayerSlots ProgramLayout::plan_layers(std::size_t index, const Part& part) {
  const std::int64_t first = first_tick(index);
  const std::int64_t before = program_.requested_bytes;
  const auto bytes = [&](std::int64_t columns) { return part.rows * columns * bytes_of(element_); };
  LayerSlots slots{};
  const std::int64_t heads = widths_.heads.size();
  const std::int64_t d_ff = widths_.feed_forward.size();
  slots.qkv = slot(bytes(3 * heads), first, first + 1);
  slots.context = slot(bytes(heads), first + 1, first + 2);
  slots.ffn = slot(bytes(d_ff), first + 3, first + 3);
  if (request_.numbers.scaled()) {
    slots.hidden8 = slot(part.rows * d_, first, first + kTicks - 1);
    slots.context8 = slot(part.rows * heads, first + 1, first + 2);
    slots.ffn8 = slot(part.rows * d_ff, first + 3, first + 3);
    slots.out_delta = slot(bytes(d_), first + 2, first + 2);
    slots.ffn2_delta = slot(bytes(d_), first + 3, first + 3);
  }
  // Both norms and, but for fp8, both projections onto the residual.
  const std::int64_t in_place = request_.numbers.scaled() ? 2 : 4;
  const Phase& phase = plan_.phases[index];
  const std::int64_t a_layer = program_.requested_bytes - before + bytes(in_place * d_);
  program_.requested_bytes = before + (phase.last_layer - phase.first_layer) * a_layer;
  return slots;
}

void ProgramLayout::plan_kept(std::size_t index) {
  const Phase& phase = plan_.phases[index];
  const auto wanted = [&](Segment segment, std::int64_t layers) {
    if (std::ranges::find(request_.options.keep_layers, layers) ==
        request_.options.keep_layers.end()) {
      return;
    }
    const std::int64_t bytes = part(segment).rows * d_ * kFloatBytes;
    kept_.push_back({segment, layers, slot(bytes, first_tick(index), last_tick())});
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

void ProgramLayout::plan_head(std::size_t index) {
  const bool classes = config_.head == HeadKind::classes;
  const std::int64_t entries = classes ? shape_.pairs() : part(Segment::joint).rows;
  program_.head_floats = entries * config_.head_outputs();
  head_ = slot(program_.head_floats * kFloatBytes, first_tick(index), last_tick());
  if (classes) {
    pooled_ = slot(entries * d_ * kFloatBytes, first_tick(index), first_tick(index));
    tables_.add_chosen(config_, shape_);
  }
}

}  // namespace deformer::cuda
