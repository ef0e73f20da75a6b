#pragma once
/// Instructions of a forward on both sides, before anything is timed: each program is run under
/// callgrind, which counts one forward of every point. Counts nearly repeat where times never do,
/// and a virtual machine without hardware counters has them too.
///
/// Always with one thread, whatever the point asks for: threads wait by spinning. Valgrind offers
/// fewer instruction sets than the processor has (3.19: up to AVX2), so other kernels run than are
/// timed; which, the record says, and counts of different ones are never compared. A planted
/// slowdown is one of time: nothing of it is counted.
///
/// Record field, on the first record of each point and side:
///
///     "counted": {"by":"callgrind-3.19.0","isa":"avx2
///     fma","threads":1,"status":"ok","reason":null,
///                 "instructions":N, "ranges":[{"path":...,"instructions":N}]}
///
/// or status "missing" (base gave none, or not within the time), "invalid" (head gave none, or what
/// was counted is no count), "incomparable" (a program too old to count), with the reason and null.

#include <functional>
#include <map>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "harness/gate_pair.hpp"

namespace deformer {

/// By side and key of the point.
using GateCounts = std::map<std::pair<Side, std::string>, nlohmann::ordered_json>;

struct GateCountOptions {
  std::string valgrind;    ///< program
  double max_time_s = 60;  ///< a point and side, starting and preparing included
  std::function<void(const std::string&)> step;
};

/// @throws BadInput when a program can't be started, ChildInterrupted.
GateCounts count_gate(const PairSetting& setting, const PairPlans& plans,
                      const GateCountOptions& options);

}  // namespace deformer
