#pragma once
/// Whether instructions are counted in a gate, and by what (gate_count.hpp): what was asked for,
/// held against what both programs can do on this machine.

#include <optional>
#include <string>

#include "harness/gate_count.hpp"
#include "harness/gate_pair.hpp"

namespace deformer {

/// `automatic`: counters where they work, else callgrind where it is installed, else nothing.
enum class CountWish { off, callgrind, counters, automatic };

struct CountRequest {
  CountWish wish = CountWish::off;
  std::string valgrind;  ///< program; empty: none is installed
};

struct CountChoice {
  std::optional<CountBy> by;
  std::string why;  ///< of a choice that nobody made: what was chosen and why; else empty
};

/// Asks both programs for their counters, where that matters. What was asked for by name and works
/// on one side alone is chosen all the same: the verdict then says which side could not.
/// @throws Unavailable where counters were asked for and this machine has none, BadInput,
/// ChildInterrupted.
CountChoice choose_count(const CountRequest& request, const PairSetting& setting,
                         const PairPlans& plans);

}  // namespace deformer
