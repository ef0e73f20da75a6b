#pragma once
/// The paper-style speedup table made of records.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

/// One row a record: model, task, q/p lengths, k, batch, variant, median with interval, speedup
/// with interval, FLOP ratio, efficiency, roof fraction of full (where known), memory, parity mark.
/// Full, decomposed and cached of a group stand together, in this order, then by k. A
/// geometric-mean row of the speedups of each variant closes it. Rows that are invalid, unchecked,
/// skipped or failed say so and are in no mean. Reproducer commands, one a row, follow as notes
/// when `reproducers`.
///
/// Settings (backend, dtype, threads, order, ...) that are the same in every record stand in the
/// title
/// ("cpu f32, 2 threads"); those that differ get a column. Notes begin with the row's number ("#3
/// ..."). Missing or mistyped fields print "-"; no record makes it throw.
Table speedup_table(const std::vector<nlohmann::ordered_json>& records, bool reproducers);

}  // namespace deformer
