#pragma once
/// A point under judgement. Internal to the gate.

#include <string>
#include <vector>

#include "reports/gate/decision.hpp"

namespace deformer {

struct Case {
  const GatePoint* point;
  PointVerdict verdict;
  bool settled = false;  ///< before any statistics: INVALID, MISSING
  Finding time, ratio, full;
};

/// "base: ...", "head: ...": slowdowns planted on purpose.
std::string injected_words(const GatePoint& point);

/// Points that need no statistics. Returns false for those that are not judged at all; `notes` says
/// which.
bool settle(Case& at, std::vector<std::string>& notes);

/// Time and ratio together; see the header of this room's decision for each alone.
///  - ratio worse, and time not, because full got faster: no regression of this point;
///  - ratio better because full got slower: REGRESSED, whatever the time says;
///  - else a regression of either is one; where the time is decided, an undecided ratio is not
///    waited for.
void weigh(Case& at, const GateRules& rules);

}  // namespace deformer
