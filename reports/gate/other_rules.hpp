#pragma once
/// Rules that other tools judge by, to be compared with ours on the same rounds. Internal to the
/// gate.

#include <span>

namespace deformer {

/// Two-sided p-value of the Mann-Whitney U test, normal approximation with corrections for ties and
/// continuity: what scipy.stats.mannwhitneyu(alternative="two-sided"), hence Google Benchmark's
/// compare.py, computes for more than 8 samples a side. 1 when a side is empty or all are equal.
double mann_whitney_p(std::span<const double> a, std::span<const double> b);

}  // namespace deformer
