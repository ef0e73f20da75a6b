#pragma once
/// A verdict for people and for CI services. Names come from files and may be hostile; every form
/// escapes what its reader takes for markup.

#include <string>

#include <nlohmann/json.hpp>

#include "reports/gate/verdict.hpp"
#include "reports/table.hpp"

namespace deformer {

/// The points, worst first; under it what differs exactly, notes, and the commands that measure
/// the failures again.
Table gate_table(const GateResult& result);

/// One line for a log: "gate: REGRESSED: 1 of 12 points slower: NAME 1.05x slower [..] in OP".
std::string gate_line(const GateResult& result);

/// One row of `--format json`: key name verdict ratio ci_low ci_high threshold smallest_effect
/// where words ...
nlohmann::ordered_json gate_row_json(const PointVerdict& point);

/// {"verdict","exit_code","words","counts",...}: the whole, for history.
nlohmann::ordered_json gate_summary_json(const GateResult& result);

/// GitHub job summary, Markdown.
std::string gate_summary_markdown(const GateResult& result);

/// GitHub workflow commands, one a line: ::error for what fails the gate, ::warning for what is
/// undecided, ::notice for what improved. At most ten of each, as many as the service shows.
std::string gate_annotations(const GateResult& result);

/// JUnit XML: a test case a point; failures and errors carry the reproducer.
std::string gate_junit(const GateResult& result);

}  // namespace deformer
