#pragma once
/// Gates drawn from recorded rounds: how often would this rule, and those of others, have cried
/// wolf or slept? No machine time is spent.

#include <cstdint>
#include <string>
#include <vector>

#include "profilers/gate_looks.hpp"
#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"
#include "reports/table.hpp"

namespace deformer {

struct ReplayPlan {
  std::int64_t gates = 1000;
  std::int64_t processes = 20;  ///< pairs of processes a gate, at most
  std::int64_t fresh = 10;  ///< pairs that confirm a suspicion, at most; 0: it is called at once
  /// As `gate measure` does: looks after this many pairs at the earliest and ends when it is
  /// decided. 0: one look, when all pairs are there.
  std::int64_t first_look = kFewestGatePairs;
  std::int64_t rounds = 0;  ///< of each process, the first so many; 0: all
  double inject = 0;        ///< 0.03: head takes 1.03 times as long at one point of each gate
  std::uint64_t seed = 1;
};

/// What one rule said of all gates.
struct ReplayCount {
  std::string rule;
  /// Gates in which it alarmed: without an injection at any point, with one at the point that has
  /// it (for a negative one: called it faster).
  std::int64_t alarms = 0;
  std::int64_t elsewhere = 0;  ///< with an injection: gates with an alarm at a point without
  std::int64_t undecided = 0;  ///< neither alarm nor all clear
  std::int64_t pairs = 0;      ///< drawn, of all gates together
};

struct ReplayOutcome {
  ReplayPlan plan;
  std::vector<ReplayCount> counts;  ///< this gate first
};

/// Points that can be drawn from: `pairs` recorded side by side, at least `processes + fresh` each.
/// Where both sides are the same build the sides of each pair drawn are exchanged at random, which
/// in an A/A record changes nothing but the luck; otherwise they stay as recorded. Of plain sweeps,
/// pairs are made of processes drawn at random: what interleaving removes stays in.
/// @throws BadInput when no point has enough, saying how many there are.
class Replay {
 public:
  explicit Replay(const GateInput& recorded);

  /// Draws and judges; on every processor. The same seed gives the same counts.
  ReplayOutcome run(const ReplayPlan& plan, const GateRules& rules) const;

  std::size_t points() const { return recorded_.points.size(); }
  /// Pairs of the point that has the fewest.
  std::int64_t pairs() const;
  bool exchanged() const { return exchanged_; }
  bool side_by_side() const { return side_by_side_; }

 private:
  GateInput recorded_;
  bool exchanged_ = false;
  bool side_by_side_ = true;
};

/// Shares with their 95 % Clopper-Pearson bounds.
Table replay_table(const std::vector<ReplayOutcome>& outcomes);

}  // namespace deformer
