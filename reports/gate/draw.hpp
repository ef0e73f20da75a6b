#pragma once
/// One gate drawn from recorded rounds. Internal to the gate.

#include <cstdint>
#include <random>
#include <vector>

#include "reports/gate/observations.hpp"
#include "reports/gate/replay.hpp"

namespace deformer {

/// How the record may be drawn from.
struct DrawSetting {
  const GateInput* recorded = nullptr;
  const ReplayPlan* plan = nullptr;
  bool exchanged = false;  ///< the sides of a pair may change places
  bool side_by_side = true;
};

/// Pairs are drawn without replacement, the same of every point where all have as many: processes
/// measure every point, and what disturbed one of them is to hit the same gate.
class Draw {
 public:
  Draw(const DrawSetting& setting, std::mt19937_64& random);

  /// Adds pairs [first, last) of those drawn. @pre as many are recorded.
  void add(std::int64_t first, std::int64_t last, bool confirming);

  const GateInput& gate() const { return gate_; }
  std::size_t injected() const { return injected_; }  ///< index of the point that is slowed down

 private:
  struct Order {
    std::vector<std::size_t> places;
    std::vector<bool> exchanged;
  };

  Order order_of(std::size_t count, std::mt19937_64& random) const;
  GatePair recorded_pair(std::size_t p, std::size_t i) const;
  void shorten(GatePair& pair) const;
  void slow_down(GatePair& pair, std::size_t p) const;

  DrawSetting setting_;
  GateInput gate_;
  std::vector<Order> drawn_;
  std::size_t injected_ = 0;
};

}  // namespace deformer
