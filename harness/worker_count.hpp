#pragma once
/// Instructions of one forward of each variant, where callgrind runs the worker.

#include <vector>

#include <nlohmann/json.hpp>

#include "harness/group.hpp"
#include "harness/instance_team.hpp"

namespace deformer {

/// One forward of each, its parts dumped as the protocol says (worker_protocol.hpp). Returns the
/// answer to `count` without `type` and `id`.
/// @throws BadInput where valgrind does not run this program, or with several threads: they wait by
/// spinning, which no two runs do alike.
nlohmann::ordered_json count_forwards(std::vector<Runner>& runners, InstanceTeam& team);

}  // namespace deformer
