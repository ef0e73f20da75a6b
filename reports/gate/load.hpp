#pragma once
/// Run files as the two sides of a gate.

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "records/run_file.hpp"
#include "reports/gate/observations.hpp"

namespace deformer {

/// Pairs up the records of two run files. A file that holds both sides of a `gate measure` (records
/// marked with "gate") gives each side its own, so the same file may be named twice. All sets of a
/// point are used, each as one process; of unmarked records only those of the latest build and
/// machine of the file. `filter`: a regular expression on names; empty: all.
/// `warn` is told of torn ends and of what was left out.
/// @throws BadInput for a malformed filter.
GateInput gate_input(const RunFile& base, const RunFile& head, const std::string& filter,
                     const std::function<void(const std::string&)>& warn);

}  // namespace deformer
