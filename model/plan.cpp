#include "model/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

void check_split(const ModelConfig& config, std::int64_t split) {
  if (split < 0 || split > config.layers) {
    throw BadInput(fmt::format("split: expected 0 to {} (the layers of {}), found {}",
                               config.layers, config.name, split));
  }
}

void add_encode(Plan& plan, Segment segment, std::int64_t first, std::int64_t last) {
  if (first < last) {
    plan.phases.push_back({PhaseKind::encode, segment, first, last});
  }
}

void add_lower(Plan& plan, Segment segment) {
  plan.phases.push_back({PhaseKind::embed, segment});
  add_encode(plan, segment, 0, plan.split);
}

void add_full(Plan& plan, const ModelConfig& config) {
  plan.positions_run_on = true;
  plan.phases.push_back({PhaseKind::embed, Segment::joint});
  add_encode(plan, Segment::joint, 0, config.layers);
}

void add_split(Plan& plan, const ModelConfig& config, bool cached) {
  add_lower(plan, Segment::question);
  if (cached) {
    plan.phases.push_back({PhaseKind::load, Segment::passage});
  } else {
    add_lower(plan, Segment::passage);
  }
  plan.phases.push_back({PhaseKind::join, Segment::joint});
  add_encode(plan, Segment::joint, plan.split, config.layers);
}

}  // namespace

std::string_view to_string(PhaseKind kind) {
  switch (kind) {
    case PhaseKind::embed:
      return "embed";
    case PhaseKind::encode:
      return "encode";
    case PhaseKind::load:
      return "load";
    case PhaseKind::join:
      return "join";
    case PhaseKind::head:
      return "head";
  }
  return "?";
}

std::string phase_name(const Phase& phase) {
  switch (phase.kind) {
    case PhaseKind::encode:
      return fmt::format("encode({},{}..{})", to_string(phase.segment), phase.first_layer,
                         phase.last_layer);
    case PhaseKind::embed:
    case PhaseKind::load:
      return fmt::format("{}({})", to_string(phase.kind), to_string(phase.segment));
    case PhaseKind::join:
    case PhaseKind::head:
      return std::string(to_string(phase.kind));
  }
  return "?";
}

bool Plan::loads_passages() const {
  return std::ranges::any_of(phases,
                             [](const Phase& phase) { return phase.kind == PhaseKind::load; });
}

bool Plan::reads_passage_ids() const {
  return std::ranges::any_of(phases, [](const Phase& phase) {
    return phase.kind == PhaseKind::embed && phase.segment != Segment::question;
  });
}

Segment Plan::output_segment() const {
  const auto last = std::ranges::find_if(phases.rbegin(), phases.rend(), [](const Phase& phase) {
    return phase.kind != PhaseKind::head;
  });
  return last == phases.rend() ? Segment::joint : last->segment;
}

Plan make_plan(const ModelConfig& config, Variant variant, std::int64_t split, Order order) {
  Plan plan;
  plan.order = order;
  if (variant == Variant::full) {
    add_full(plan, config);
  } else {
    check_split(config, split);
    plan.split = split;
    add_split(plan, config, variant == Variant::cached);
  }
  if (config.head != HeadKind::none) {
    plan.phases.push_back({PhaseKind::head, Segment::joint});
  }
  return plan;
}

Plan make_prefill_plan(const ModelConfig& config, std::int64_t split, Order order) {
  check_split(config, split);
  Plan plan;
  plan.order = order;
  plan.split = split;
  add_lower(plan, Segment::passage);
  return plan;
}

}  // namespace deformer
