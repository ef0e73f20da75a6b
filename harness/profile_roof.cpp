// The waterfall: arithmetic on what was measured.

#include "harness/profile.hpp"

namespace deformer {
using nlohmann::ordered_json;

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
  steps.push_back({"measured ratio", "full over variant", 0, ratio});
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
