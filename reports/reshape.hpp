#pragma once
/// Tables made of tables: one row for each group, or one column for each value of a column.

#include <string>
#include <vector>

#include "reports/table.hpp"

namespace deformer {

/// One row for each combination of the values of the `by` columns, in order of appearance: how many
/// rows it has, geometric means of durations, ratios and rates, the largest of the rest.
Table grouped(const Table& table, const std::vector<std::size_t>& by);

/// One row for each value of `down` (and of the `settings` that differ within the table), one
/// column for each value of `across`, the cells from `value`. Where several rows fall into one cell
/// the last is shown and a note says how many were hidden.
Table pivoted(const Table& table, std::size_t down, std::size_t across, std::size_t value,
              const std::vector<std::size_t>& settings);

}  // namespace deformer
