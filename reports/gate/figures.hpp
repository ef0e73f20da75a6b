#pragma once
/// The exact and the counted tier. Internal to the gate.

#include <cstdint>
#include <string_view>
#include <vector>

#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer {

struct FiguresCompared {
  std::vector<FigureChange> changes;
  std::int64_t same = 0;
  std::int64_t not_compared = 0;   ///< of another instruction set, or on one side only
  std::vector<std::string> notes;  ///< of counted ones that do not compare

  bool any() const { return same > 0 || !changes.empty(); }
};

/// What both sides have in common.
struct SidesAlike {
  bool isa = false;      ///< instructions that the processor offers
  bool machine = false;  ///< all fields that decide
};

FiguresCompared compare_figures(const std::vector<ExactFigure>& base,
                                const std::vector<ExactFigure>& head, const SidesAlike& same,
                                const GateRules& rules);

/// "flops 1.20e+09 -> 1.32e+09 (+10 %)".
std::string figure_words(const FigureChange& change);

}  // namespace deformer
