#include "harness/budget.hpp"

#include <algorithm>
#include <cmath>

namespace deformer {
namespace {

constexpr std::int64_t kFirstRounds = 10;  // the fewest the interface allows
constexpr double kFewestGrowth = 1.5;      // below, a new set mostly repeats the old one
constexpr double kMostGrowth = 8;          // an early interval says little of the rounds needed
constexpr double kAnchors = 0.4;           // full is repeated about every four variants

bool is_measured(const BudgetPoint& point) {
  return point.rounds > 0;
}

bool overlap(const BudgetPoint& a, const BudgetPoint& b) {
  return a.low <= b.high && b.low <= a.high;
}

/// Whether the next lower or higher k of the same variant could be as good.
bool is_undecided(const BudgetGroup& group, const BudgetPoint& point) {
  if (point.variant == Variant::full) return false;
  const BudgetPoint* below = nullptr;
  const BudgetPoint* above = nullptr;
  for (const BudgetPoint& other : group.points) {
    if (other.variant != point.variant || !is_measured(other)) continue;
    if (other.split < point.split && (below == nullptr || other.split > below->split))
      below = &other;
    if (other.split > point.split && (above == nullptr || other.split < above->split))
      above = &other;
  }
  return (below != nullptr && overlap(*below, point)) ||
         (above != nullptr && overlap(*above, point));
}

double round_s(const BudgetGroup& group, const std::vector<std::size_t>& points) {
  double ns = 0;
  double full_ns = 0;
  for (const std::size_t p : points) {
    const BudgetPoint& point = group.points[p];
    if (point.variant == Variant::full) full_ns = point.sample_ns;
    ns += point.sample_ns;
  }
  ns += full_ns * (1 + kAnchors * static_cast<double>(points.size()));
  return ns * 1e-9;
}

/// The points of a group that need rounds, with its full; empty when none does.
std::vector<std::size_t> needy(const BudgetGroup& group) {
  std::vector<std::size_t> points;
  bool any = false;
  for (std::size_t p = 0; p < group.points.size(); ++p) {
    const bool needs = budget_need(group, p) > 1;
    any = any || needs;
    if (needs || group.points[p].variant == Variant::full) points.push_back(p);
  }
  return any ? points : std::vector<std::size_t>{};
}

std::optional<BudgetStep> step_for(BudgetGroup& group, std::size_t index, double seconds_left) {
  BudgetStep step{index, needy(group), kFirstRounds};
  if (step.points.empty()) return std::nullopt;
  std::int64_t before = 0;
  double worst = 1;
  for (const std::size_t p : step.points) {
    before = std::max(before, group.points[p].rounds);
    worst = std::max(worst, budget_need(group, p));
  }
  // An interval narrows with the root of the rounds.
  if (before > 0) {
    const double growth = std::clamp(worst * worst, kFewestGrowth, kMostGrowth);
    step.rounds = static_cast<std::int64_t>(std::ceil(static_cast<double>(before) * growth));
  }
  const double measuring_s = seconds_left - group.setup_s;
  const auto fit = static_cast<std::int64_t>(measuring_s / round_s(group, step.points));
  step.rounds = std::min(step.rounds, fit);
  const auto fewest = before == 0
                          ? kFirstRounds
                          : static_cast<std::int64_t>(static_cast<double>(before) * kFewestGrowth);
  return step.rounds >= fewest ? std::optional(step) : std::nullopt;
}

}  // namespace

double budget_need(const BudgetGroup& group, std::size_t index) {
  const BudgetPoint& point = group.points[index];
  if (!is_measured(point)) return 1e9;
  const bool has_variants = std::ranges::any_of(
      group.points, [](const BudgetPoint& other) { return other.variant != Variant::full; });
  if (point.variant == Variant::full && has_variants) return 0;  // measured with all others
  if (point.centre <= 0) return 0;                               // failed: rounds do not help
  const double width = (point.high - point.low) / 2 / point.centre;
  return width / (is_undecided(group, point) ? kBudgetCloser : kBudgetPrecision);
}

std::optional<BudgetStep> next_budget_step(std::vector<BudgetGroup>& groups, double seconds_left) {
  while (true) {
    std::size_t best = groups.size();
    double worst = 1;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (groups[g].exhausted) continue;
      for (std::size_t p = 0; p < groups[g].points.size(); ++p) {
        if (const double need = budget_need(groups[g], p); need > worst) {
          worst = need;
          best = g;
        }
      }
    }
    if (best == groups.size()) return std::nullopt;
    if (auto step = step_for(groups[best], best, seconds_left)) return step;
    groups[best].exhausted = true;
  }
}

}  // namespace deformer
