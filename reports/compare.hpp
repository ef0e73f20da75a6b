#pragma once
/// Two run files side by side, paired by key.

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

struct Comparison {
  std::string key;
  std::string name;
  std::string status;            ///< "ok", "only in A", "only in B", "invalid in B", ...
  std::optional<double> ratio;   ///< time B / time A (ratio of medians): above 1 is slower
  std::optional<double> ci_low;  ///< 95 % interval of the ratio
  std::optional<double> ci_high;
  std::optional<double> a_median_ns, b_median_ns;
};

/// The ratio's interval is found from the two samples' medians (seeded bootstrap or an exact
/// method; compare.cpp says which). Order: A's records, then what only B has.
std::vector<Comparison> compare_records(const std::vector<nlohmann::ordered_json>& a,
                                        const std::vector<nlohmann::ordered_json>& b);

/// Says ratios exactly ("1.04x slower", "1.10x faster", "~" when the interval holds 1), with a
/// geometric-mean row.
Table comparison_table(const std::vector<Comparison>& rows);

/// One JSON row for `--format json`.
nlohmann::ordered_json comparison_json(const Comparison& row);

}  // namespace deformer
