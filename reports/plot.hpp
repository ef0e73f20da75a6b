#pragma once
/// Speedup against k as figures.

#include <string>
#include <vector>

#include "reports/figure.hpp"
#include "reports/record_row.hpp"

namespace deformer {

/// One figure for each group with at least two splits of a variant: measured speedups with their
/// intervals, and the FLOP ratios beside them.
std::vector<Figure> split_figures(const std::vector<RecordRow>& rows);

/// The same drawn for a terminal, at most `most` of them; says how many were left out, and why
/// there are none.
std::string plot_splits(const std::vector<RecordRow>& rows, std::size_t most = 12);

}  // namespace deformer
