#include "reports/gate/load_side.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "profilers/statistics.hpp"
#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

void add_figure(GateSide& side, const Json& record, const std::string& path, std::string name,
                const std::string& unit, bool depends_on_isa, bool counted = false) {
  if (const auto value = number_field(record, path)) {
    side.figures.push_back({std::move(name), unit, depends_on_isa, counted, *value});
  }
}

/// Of one forward (`gate measure`), or of all phases, where they were counted (`profile`).
std::optional<double> allocations_of(const Json& record) {
  if (const auto of_forward = number_field(record, "memory.allocations")) {
    return of_forward;
  }
  const Json* phases = field(record, "phases");
  if (phases == nullptr || !phases->is_array() || phases->empty()) {
    return std::nullopt;
  }
  double sum = 0;
  for (const Json& phase : *phases) {
    const auto count = number_field(phase, "allocations");
    if (!count) {
      return std::nullopt;
    }
    sum += *count;
  }
  return sum;
}

/// What the cost model says follows from the plan alone; what a backend requests follows from the
/// kernels it chose too.
void add_figures(GateSide& side, const Json& record) {
  for (const char* name :
       {"flops", "flops_gemm", "flops_attention", "flops_elementwise", "flops_issued"}) {
    add_figure(side, record, fmt::format("cost.{}", name), name, "FLOP", false);
  }
  for (const char* name : {"bytes_activations", "bytes_activation_peak", "bytes_requested",
                           "bytes_cache_passage", "bytes_cache_batch", "bytes_weights"}) {
    add_figure(side, record, fmt::format("cost.{}", name), name, "bytes", false);
  }
  add_figure(side, record, "cost.flops_executed", "flops_executed", "FLOP", true);
  add_figure(side, record, "memory.peak_bytes", "arena_bytes", "bytes", true);
  add_figure(side, record, "memory.requested_bytes", "requested_bytes", "bytes", true);
  add_figure(side, record, "memory.weights_bytes", "packed_weights_bytes", "bytes", true);
  add_figure(side, record, "memory.launches", "launches", "", true);
  if (field(record, "counted") == nullptr) {
    add_figure(side, record, "counters.total.instructions", "instructions", "", true, true);
  }
  if (const auto allocations = allocations_of(record)) {
    side.figures.push_back({"allocations", "", true, false, *allocations});
  }
}

/// What callgrind or counters counted (harness/gate_count.hpp), of the last record that has it.
void add_counted(GateSide& side, const std::vector<Start>& starts) {
  const auto last = std::ranges::find_if(starts.rbegin(), starts.rend(), [](const Start& start) {
    return field(*start.record, "counted") != nullptr;
  });
  if (last == starts.rend()) {
    return;
  }
  const Json& record = *last->record;
  side.count_status = text_field(record, "counted.status").value_or("invalid");
  side.count_reason = text_field(record, "counted.reason").value_or("");
  const auto instructions = positive_field(record, "counted.instructions");
  if (side.count_status == "ok" && !instructions) {
    side.count_status = "invalid";
    side.count_reason = "no count of instructions in the record";
  }
  if (side.count_status != "ok") {
    return;
  }
  ExactFigure figure{"instructions", "", false, true, *instructions};
  const std::string by = text_field(record, "counted.by").value_or("?");
  figure.simulated = by.starts_with("callgrind");
  figure.counted_as =
      fmt::format("{}, {}, {} thread", by, text_field(record, "counted.isa").value_or("?"),
                  text_field(record, "counted.threads").value_or("?"));
  if (const auto engines = text_field(record, "counted.engines"); engines && !engines->empty()) {
    figure.counted_as += ", " + *engines;
  }
  const auto low = positive_field(record, "counted.low");
  const auto high = positive_field(record, "counted.high");
  if (low && high && *low <= *instructions && *instructions <= *high) {
    figure.low = *low;
    figure.high = *high;
  }
  for (const Json& range : array_field(record, "counted.ranges")) {
    const auto path = text_field(range, "path");
    const auto count = number_field(range, "instructions");
    if (path && count) {
      figure.of_ranges[*path] += *count;
    }
  }
  std::erase_if(side.figures,
                [](const ExactFigure& other) { return other.name == "instructions"; });
  side.figures.push_back(std::move(figure));
}

/// Medians over processes of one range or phase list.
using Lists = std::vector<const Json*>;

double median_of(const Lists& lists, std::size_t row) {
  std::vector<double> values;
  for (const Json* list : lists) {
    if (row < list->size()) {
      if (const auto value = number_field((*list)[row], "median_ns")) {
        values.push_back(*value);
      }
    }
  }
  return median(values).value_or(0);
}

Json merged_list(const std::vector<Start>& starts, const char* name) {
  Lists lists;
  for (const Start& start : starts) {
    if (const Json* list = field(*start.record, name); list != nullptr && list->is_array()) {
      lists.push_back(list);
    }
  }
  if (lists.empty()) {
    return nullptr;
  }
  Json merged = *lists.front();
  for (std::size_t row = 0; row < merged.size(); ++row) {
    if (merged[row].is_object()) {
      merged[row]["median_ns"] = median_of(lists, row);
    }
  }
  return merged;
}

}  // namespace

GateSide gate_side(const std::vector<Start>& starts, const std::string& isa,
                   const std::string& build) {
  GateSide side;
  side.isa = isa;
  side.build = build;
  // The latest start speaks for the point, unless an earlier one missed parity: one wrong result in
  // ten starts is a wrong result.
  const Json* speaking = starts.back().record;
  for (const Start& start : starts) {
    if (text_field(*start.record, "status") == "invalid") {
      speaking = start.record;
    }
  }
  side.status = text_field(*speaking, "status").value_or("failed");
  side.reason = text_field(*speaking, "reason").value_or("");
  side.injected = text_field(*speaking, "injected").value_or("");
  side.unchecked = side.status == "ok" && field(*speaking, "parity") == nullptr;
  add_figures(side, *speaking);
  add_counted(side, starts);
  side.ranges = {{"ranges", merged_list(starts, "ranges")},
                 {"phases", merged_list(starts, "phases")}};
  return side;
}

}  // namespace deformer
