#pragma once
/// All records of one point and one side as what the gate asks of them, but for the rounds.
/// Internal to the gate.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/gate/observations.hpp"

namespace deformer {

/// A record as one process of one side.
struct Start {
  const nlohmann::ordered_json* record = nullptr;
  std::string pair;  ///< id of the gate that measured it; empty: beside no other
  std::int64_t process = 0;
  bool confirming = false;
};

/// Status, figures, ranges (medians over the starts). @pre not empty.
GateSide gate_side(const std::vector<Start>& starts, const std::string& isa,
                   const std::string& build);

}  // namespace deformer
