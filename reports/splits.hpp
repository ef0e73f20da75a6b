#pragma once
/// Which k? What measured speedups say, and where they cannot decide.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// For each shape and variant measured at two k or more, one sentence: the fastest k, and which k
/// cannot be told apart from each other. Two k are compared round by round where one set measured
/// both, and by their intervals otherwise.
std::vector<std::string> split_findings(const std::vector<nlohmann::ordered_json>& records);

}  // namespace deformer
