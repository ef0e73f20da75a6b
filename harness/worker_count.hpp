#pragma once
/// Instructions of a forward of each variant: where callgrind runs the worker, by it, and where the
/// processor has a counter of them, by that.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/group.hpp"
#include "harness/instance_team.hpp"
#include "profilers/counters.hpp"

namespace deformer {

/// One forward of each, its parts dumped as the protocol says (worker_protocol.hpp). Returns the
/// answer to `count` without `type` and `id`.
/// @throws BadInput where valgrind does not run this program, or with several threads: they wait by
/// spinning, which no two runs do alike.
nlohmann::ordered_json count_forwards(std::vector<Runner>& runners, InstanceTeam& team);

/// Instructions that a thread retires in user mode, as this machine counts them, or why it can't.
CounterStatus instruction_counter();

/// Of `forwards` of each, in a row, and of the leaves of as many further ones, which are watched:
/// reading a counter at every leaf costs instructions itself, so leaves add up to more than the
/// whole. `engines`: what serves the products, since that may be chosen by time. Returns the answer
/// to `count` by counters without `type` and `id`.
/// @throws BadInput where `event` can't be counted, with several threads, or where a device does
/// the work.
nlohmann::ordered_json count_by_counters(
    std::vector<Runner>& runners, InstanceTeam& team, const CounterStatus& event,
    std::int64_t forwards, const std::vector<std::pair<std::string, std::string>>& engines);

}  // namespace deformer
