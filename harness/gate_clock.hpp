#pragma once
/// The time of one group in a gate: how long a pair of processes measures, how many more fit, and
/// after how many whoever judges should look.

#include <cstdint>
#include <vector>

#include "harness/gate_pair.hpp"
#include "profilers/gate_looks.hpp"

namespace deformer {

class GateClock {
 public:
  /// `limit_s`: for all points of the group. `fewest_pairs`: as many should fit.
  GateClock(double limit_s, std::int64_t fewest_pairs);

  /// The first pair was measured; its start does not count.
  void first(const PairRun& run);
  /// A further one, whose start counts.
  void next(const PairRun& run);

  PairLength length() const;
  /// Whether another pair, as long as the last ones, ends in time. To confirm a suspicion there is
  /// half of the time again.
  bool fits(bool confirming) const;
  /// How many more, a suspicion aside.
  std::int64_t fitting() const;

 private:
  double left_s(bool confirming) const;
  double pair_s() const;

  double limit_s_;
  std::int64_t fewest_pairs_;
  std::int64_t begin_ns_ = 0;
  double setup_s_ = 0;  ///< of the last pair but the first: that one checks parity too
  double round_s_ = 0;
};

}  // namespace deformer
