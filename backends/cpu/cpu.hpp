#pragma once
/// The CPU backend: oneDNN for the large products, attention and LayerNorm of our own around them.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/backend.hpp"

namespace deformer {

std::unique_ptr<Backend> make_cpu_backend();

/// Name and version of every library whose code a CPU forward runs, for the fingerprint.
std::vector<std::pair<std::string, std::string>> cpu_libraries();

}  // namespace deformer
