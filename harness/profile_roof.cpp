// What bounds an operation, and the waterfall: arithmetic on what was measured.

#include <algorithm>

#include <fmt/format.h>

#include "harness/profile.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// The level of the caches that holds so many bytes, of all threads together; memory's where none
/// does or none was measured. A cache is never slower than what lies behind it: where it measured
/// so, something disturbed it.
double bandwidth_for(double bytes, const Roofs& roofs) {
  const double memory = roofs.memory_read_gb_per_s().value_or(0);
  for (const BandwidthRoof& level : roofs.bandwidth) {
    const bool usable = level.missing.empty() && level.threads == roofs.threads;
    if (usable && level.level != "memory" &&
        bytes <= static_cast<double>(level.working_set_bytes)) {
      return std::max({level.rate.copy_gb_per_s, level.rate.read_gb_per_s, memory});
    }
  }
  return memory;
}

double time_ns(double amount, double per_ns) {
  return per_ns > 0 ? amount / per_ns : 0;
}

}  // namespace

OperationRoof operation_roof(const Cost& cost, double stored_bytes, double memory_share,
                             const Roofs& roofs, std::string_view dtype) {
  OperationRoof roof;
  const auto counted = static_cast<double>(cost.flops());
  const double flops = counted > 0 ? counted : static_cast<double>(cost.flops_elementwise);
  const auto weights = static_cast<double>(cost.bytes_weights);
  const auto activations = static_cast<double>(cost.bytes_activations);
  roof.bytes_memory = weights * memory_share + stored_bytes;
  roof.intensity = weights + activations > 0 ? flops / (weights + activations) : 0;
  // GFLOP/s are FLOPs a nanosecond, GB/s bytes a nanosecond.
  const double compute_ns = time_ns(flops, roofs.peak_gflops(dtype).value_or(0));
  const double memory_ns = time_ns(roof.bytes_memory, roofs.memory_read_gb_per_s().value_or(0));
  const double cache_ns =
      time_ns(activations - std::min(stored_bytes, activations), bandwidth_for(activations, roofs));
  roof.ideal_ns = std::max({compute_ns, memory_ns, cache_ns});
  roof.bandwidth = compute_ns < roof.ideal_ns;
  return roof;
}

std::vector<WaterfallStep> waterfall(const StageTimes& full, const StageTimes& variant,
                                     double full_ns, double ratio) {
  const double scale = variant.flops / full.flops;
  const double encode_scale = variant.encode_flops / full.encode_flops;
  const double ideal_ns = full_ns * scale;
  const double variant_ns = full_ns / ratio;
  std::vector<WaterfallStep> steps{
      {"FLOP ratio", "what arithmetic alone promises, at full's own rate", 0, full_ns / ideal_ns}};
  double sum_ns = ideal_ns;
  const auto add = [&](const char* name, const char* what, double ns) {
    sum_ns += ns;
    steps.push_back({name, what, ns, full_ns / sum_ns});
  };
  add("small products", "layers at this variant's lengths, weights of one layer",
      variant.encode_warm_ns - full.encode_warm_ns * encode_scale);
  add("weight bandwidth", "the same layers with every layer's own weights",
      (variant.encode_ns - variant.encode_warm_ns) -
          (full.encode_ns - full.encode_warm_ns) * encode_scale);
  add("load", "stored passages, decoded and copied, in a plan without layers", variant.load_ns);
  add("fixed cost", "embed, join, head and entering regions, in a plan without layers",
      variant.fixed_ns - full.fixed_ns * scale);
  add("remainder", "what these measurements do not explain", variant_ns - sum_ns);
  steps.push_back({"measured ratio", "of the rounds", 0, ratio});
  return steps;
}

ordered_json waterfall_json(const std::vector<WaterfallStep>& steps, double variant_ns) {
  ordered_json rows = ordered_json::array();
  double remainder_ns = 0;
  for (const WaterfallStep& step : steps) {
    rows.push_back(
        {{"step", step.name}, {"what", step.what}, {"ns", step.ns}, {"ratio", step.ratio}});
    remainder_ns = step.name == "remainder" ? step.ns : remainder_ns;
  }
  return {{"steps", std::move(rows)}, {"remainder_fraction", remainder_ns / variant_ns}};
}

}  // namespace deformer
