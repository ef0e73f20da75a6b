#pragma once
/// Where a sweep's rounds are best spent: `sweep --budget`. First ten rounds of everything; then,
/// set after set, the points whose intervals are widest or that cannot be told from a neighbour in
/// k, in the group that needs it most, with more rounds than before. The latest set wins, so each
/// grows enough that what it repeats is worth it. Pure: it measures nothing.

#include <cstdint>
#include <optional>
#include <vector>

#include "model/types.hpp"

namespace deformer {

/// What is known of one point.
struct BudgetPoint {
  Variant variant = Variant::full;
  std::int64_t split = 0;
  double forward_ns = 0;     ///< median, or before the first set an estimate
  double sample_ns = 0;      ///< what a round costs of it: at least a millisecond
  double centre = 0;         ///< the ratio to full, or the time where there is none; 0: unknown
  double low = 0, high = 0;  ///< its 95 % interval
  std::int64_t rounds = 0;   ///< of the set it comes from; 0: not measured yet
};

struct BudgetGroup {
  std::vector<BudgetPoint> points;
  double setup_s = 0;      ///< what preparing a set of it took last time
  bool exhausted = false;  ///< more would not help, or does not fit
};

struct BudgetStep {
  std::size_t group = 0;
  std::vector<std::size_t> points;  ///< always with full, where the group has it
  std::int64_t rounds = 0;
};

/// Half the relative width that counts as known.
inline constexpr double kBudgetPrecision = 0.01;
/// The same for a point that cannot be told from its neighbour in k.
inline constexpr double kBudgetCloser = 0.0025;

/// How far a point is from what is asked of it: above 1 it needs rounds.
double budget_need(const BudgetGroup& group, std::size_t point);

/// The next set, or nothing when all is known or nothing fits into `seconds_left`. Groups for which
/// nothing fits are marked exhausted.
std::optional<BudgetStep> next_budget_step(std::vector<BudgetGroup>& groups, double seconds_left);

}  // namespace deformer
