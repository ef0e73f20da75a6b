#pragma once
/// The tables of `machine`: the fingerprint, and the measured roofs of one thread team.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "profilers/roofs.hpp"
#include "reports/table.hpp"

namespace deformer {

/// One row a field of a run line's `machine` object; nested objects and lists on one line, sizes
/// for people. The fields that decide whether records of two run files belong together are marked.
Table fingerprint_table(const nlohmann::ordered_json& machine);

/// Arithmetic, bandwidth, GEMM (a row a shape, a column a library), thread team. `origin` says
/// where the figures come from and stands in the first title: "measured now".
std::vector<Table> roofs_tables(const Roofs& roofs, const std::string& origin);

}  // namespace deformer
