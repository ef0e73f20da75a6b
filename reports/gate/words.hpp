#pragma once
/// What a gate says in words. Internal to the gate.

#include <string>

#include "reports/gate/decision.hpp"

namespace deformer {

/// "1.052x slower", "1.10x faster", "the same" (to three digits of change).
std::string change_words(double ratio);
/// "1.052x slower [1.041, 1.063]".
std::string estimate_words(const Estimate& estimate);
/// Why a figure is undecided, or what was found.
std::string finding_words(const Finding& finding, double threshold, const GateRules& rules);
/// "3 %", "0.5 %".
std::string percent_words(double fraction);

}  // namespace deformer
