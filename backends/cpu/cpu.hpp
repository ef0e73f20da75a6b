#pragma once
/// The CPU backend: products by panels of our own or by oneDNN, whichever measures better here;
/// attention, LayerNorm and GELU of our own around them.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cpu/engine_choice.hpp"

namespace deformer {

/// `choice`: which engine does the large products; tests ask for each.
std::unique_ptr<Backend> make_cpu_backend(EngineChoice choice = EngineChoice::automatic);

/// Name and version of every library whose code a CPU forward runs, for the fingerprint.
std::vector<std::pair<std::string, std::string>> cpu_libraries();

}  // namespace deformer
