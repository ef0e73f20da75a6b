#pragma once
/// What our rule and others say of drawn gates, counted. Internal to the gate.

#include <cstdint>
#include <vector>

#include "reports/gate/draw.hpp"
#include "reports/gate/replay.hpp"
#include "reports/gate/rules.hpp"

namespace deformer {

/// One for each rule, nothing counted yet; this gate first.
std::vector<ReplayCount> no_counts();

/// What a rule says of a point.
enum class Said { nothing, slower, faster };

class ReplayCounter {
 public:
  ReplayCounter(const ReplayPlan& plan, std::vector<ReplayCount>& counts)
      : plan_(plan), counts_(counts) {}

  /// Draws as many pairs as it needs, as `gate measure` does. @pre none are drawn yet.
  void judge_ours(Draw& draw, GateRules rules);
  /// All pairs are theirs at once.
  void judge_others(Draw draw);

 private:
  std::int64_t confirm(Draw& draw, std::int64_t drawn, const GateRules& rules) const;
  bool count(std::size_t rule, const Draw& draw, const std::vector<Said>& said);

  const ReplayPlan& plan_;
  std::vector<ReplayCount>& counts_;
};

}  // namespace deformer
