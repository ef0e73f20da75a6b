#include "reports/gate/words.hpp"

#include <cmath>

#include <fmt/format.h>

namespace deformer {

std::string change_words(double ratio) {
  if (std::abs(std::log(ratio)) < 0.0005) {
    return "1.000x";
  }
  return ratio > 1 ? fmt::format("{:.3f}x slower", ratio)
                   : fmt::format("{:.3f}x faster", 1 / ratio);
}

std::string estimate_words(const Estimate& estimate) {
  return fmt::format("{} [{:.3f}, {:.3f}]", change_words(estimate.ratio), estimate.ci_low,
                     estimate.ci_high);
}

std::string percent_words(double fraction) {
  return fmt::format("{:.3g} %", 100 * fraction);
}

std::string finding_words(const Finding& finding, double threshold, const GateRules& rules) {
  if (!finding.estimate) {
    return "not measured on both sides";
  }
  const Estimate& estimate = *finding.estimate;
  if (finding.too_few) {
    return fmt::format("too few rounds: {}, expected at least {}", estimate.rounds,
                       rules.minimum_rounds);
  }
  const std::string found = estimate_words(estimate);
  if (finding.suspected) {
    return found + ": suspected, not confirmed by processes started afresh";
  }
  if (finding.cleared) {
    return found + ": suspected, but processes started afresh do not show it";
  }
  if (finding.verdict != Verdict::ambiguous) {
    return found;
  }
  std::string text =
      fmt::format("{}: {} slower is neither shown nor excluded; this run could see {}", found,
                  percent_words(threshold), percent_words(estimate.smallest_effect));
  if (estimate.assumed_noise) {
    text += estimate.paired ? "; one process a side, noise assumed"
                            : "; base and head were not measured side by side, noise assumed";
  }
  return text;
}

}  // namespace deformer
