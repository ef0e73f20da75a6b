#pragma once
/// How many threads can run at once on this machine, asked before a library is told to start them:
/// OpenMP's runtime ends the whole program when it can't.

#include <cstdint>
#include <string>

namespace deformer {

/// Why `threads` at once can't be had here, or empty when they can: over 128 for each processor
/// that this process may use (with a barrier a layer, one forward then takes minutes), or more
/// than the system starts (`ulimit -u`, a container's limit). Finds out by starting them.
std::string why_not_threads(std::int64_t threads);

}  // namespace deformer
