#include "model/ranges.hpp"

#include <fmt/format.h>

#include "model/layer_cost.hpp"

namespace deformer {
namespace {

int add(std::vector<PlanRange>& ranges, PlanRange range) {
  ranges.push_back(std::move(range));
  return static_cast<int>(ranges.size()) - 1;
}

void add_layers(std::vector<PlanRange>& ranges, const ModelConfig& config, const Phase& phase,
                const PlanRange& above, int parent, Detail detail) {
  for (std::int64_t layer = phase.first_layer; layer < phase.last_layer; ++layer) {
    PlanRange range = above;
    range.level = Detail::layer;
    range.name = fmt::format("layer {}", layer);
    range.parent = parent;
    range.layer = layer;
    const int at = add(ranges, range);
    if (detail < Detail::op) {
      continue;
    }
    range.level = Detail::op;
    range.parent = at;
    range.operation = 0;
    for (const std::string_view operation : layer_operations(config.family)) {
      range.name = operation;
      add(ranges, range);
      ++range.operation;
    }
  }
}

}  // namespace

std::string_view to_string(Detail detail) {
  switch (detail) {
    case Detail::none:
      return "none";
    case Detail::phase:
      return "phase";
    case Detail::layer:
      return "layer";
    case Detail::op:
      return "op";
  }
  return "?";
}

std::optional<Detail> parse_detail(std::string_view word) {
  for (const Detail detail : {Detail::phase, Detail::layer, Detail::op}) {
    if (word == to_string(detail)) {
      return detail;
    }
  }
  return std::nullopt;
}

std::vector<PlanRange> plan_ranges(const ModelConfig& config, const Plan& plan, Detail detail) {
  std::vector<PlanRange> ranges{{.level = Detail::none, .name = "run"}};
  if (detail == Detail::none) {
    return ranges;
  }
  for (std::size_t index = 0; index < plan.phases.size(); ++index) {
    const Phase& phase = plan.phases[index];
    PlanRange range{.level = Detail::phase, .name = phase_name(phase), .parent = 0, .phase = index};
    const int at = add(ranges, range);
    if (phase.kind == PhaseKind::encode) {
      if (detail >= Detail::layer) {
        add_layers(ranges, config, phase, range, at, detail);
      }
    } else if (detail >= Detail::op) {
      add(ranges, {.level = Detail::op,
                   .name = std::string(to_string(phase.kind)),
                   .parent = at,
                   .phase = index,
                   .operation = 0});
    }
  }
  return ranges;
}

const Cost& range_cost(const PlanCost& cost, const PlanRange& range) {
  if (range.level == Detail::none) {
    return cost.total;
  }
  const PhaseCost& phase = cost.phases[range.phase];
  switch (range.level) {
    case Detail::op:
      return phase.operations[static_cast<std::size_t>(range.operation)].cost;
    case Detail::layer:
      return phase.layers[static_cast<std::size_t>(range.layer - phase.phase.first_layer)];
    default:
      return phase.total;
  }
}

std::optional<int> find_operation(const std::vector<PlanRange>& ranges, std::string_view operation,
                                  std::int64_t layer) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const PlanRange& range = ranges[i];
    if (range.level == Detail::op && range.name == operation &&
        (layer < 0 || range.layer == layer)) {
      return static_cast<int>(i);
    }
  }
  return std::nullopt;
}

}  // namespace deformer
