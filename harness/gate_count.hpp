#pragma once
/// Instructions of a forward on both sides, before anything is timed. Counts nearly repeat where
/// times never do. Two ways:
///
///   callgrind  each program runs under valgrind, which counts one forward of every point; where
///              there are no hardware counters (most virtual machines) too, but slowly. Valgrind
///              offers fewer instruction sets than the processor has (3.19: up to AVX2), so other
///              kernels run than are timed.
///   counters   the processor's own counter, in user mode: kCountedForwards forwards of every point
///              in each of kCountingProcesses processes, of the kernels that are timed.
///
/// Always with one thread, whatever the point asks for: threads wait by spinning. What was counted
/// the record says, and counts made otherwise are never compared. A planted slowdown is one of
/// time: callgrind's processes are not told of it, nor those of counters.
///
/// Record field, on the first record of each point and side:
///
///     "counted": {"by":"callgrind-3.19.0"|"PAPI_TOT_INS","isa":"avx2
///     fma","threads":1,"status":"ok",
///                 "reason":null,"instructions":N,"ranges":[{"path":...,"instructions":N}]}
///
/// by counters further "engines" (what serves the products: counts of different ones are never
/// compared), and "low" and "high": instructions are the middle one of the processes' medians,
/// these the least and the most of them.
///
/// or status "missing" (base gave none, or not within the time), "invalid" (head gave none, or what
/// was counted is no count), "incomparable" (a program too old to count), with the reason and null.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "harness/gate_pair.hpp"

namespace deformer {

/// By side and key of the point.
using GateCounts = std::map<std::pair<Side, std::string>, nlohmann::ordered_json>;

enum class CountBy { callgrind, counters };
const char* count_by_name(CountBy by);

/// How often counters count: several forwards a process tell a disturbed one, several processes
/// what memory layout does.
inline constexpr std::int64_t kCountedForwards = 5;
inline constexpr int kCountingProcesses = 3;

struct GateCountOptions {
  CountBy by = CountBy::callgrind;
  std::string valgrind;    ///< program; of callgrind
  double max_time_s = 60;  ///< a point and side, starting and preparing included
  std::function<void(const std::string&)> step;
};

/// @throws BadInput when a program can't be started, ChildInterrupted.
GateCounts count_gate(const PairSetting& setting, const PairPlans& plans,
                      const GateCountOptions& options);

}  // namespace deformer
