#pragma once
/// Two run files side by side, paired by key.

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

/// A phase that both sides have; records keep medians of phases only, so there is no interval.
struct PhaseComparison {
  std::string name;
  double a_ns = 0, b_ns = 0;

  double ratio() const { return b_ns / a_ns; }
};

struct CompareOptions {
  /// Rounds of one run and set are compared round by round; `unpaired`: always the medians.
  bool unpaired = false;
  bool phases = false;  ///< a row for each phase under its point
  bool mean = true;     ///< the table ends with the geometric mean
};

struct Comparison {
  std::string key;
  std::string name;
  std::string injected;          ///< slowdowns planted on purpose: "A: ...", "B: ..."
  std::string status;            ///< "ok", "only in A", "only in B", "invalid in B", ...
  std::optional<double> ratio;   ///< time B / time A (ratio of medians): above 1 is slower
  std::optional<double> ci_low;  ///< 95 % interval of the ratio
  std::optional<double> ci_high;
  std::optional<double> a_median_ns, b_median_ns;
  bool paired = false;  ///< the ratio is the median of the rounds' ratios
  std::vector<PhaseComparison> phases;
};

/// The ratio's interval is found from the two samples' medians (seeded bootstrap or an exact
/// method; compare.cpp says which). Order: A's records, then what only B has.
std::vector<Comparison> compare_records(const std::vector<nlohmann::ordered_json>& a,
                                        const std::vector<nlohmann::ordered_json>& b,
                                        const CompareOptions& options = {});

/// Says ratios exactly ("1.04x slower", "1.10x faster", "~" when the interval holds 1), with a
/// geometric-mean row.
Table comparison_table(const std::vector<Comparison>& rows, const CompareOptions& options = {});

/// What of two run lines differs, in words: "cpu_model: 'X' in A, 'Y' in B"; program, machine and
/// options, the fields that decide whether absolute times compare first.
std::vector<std::string> fingerprint_differences(const nlohmann::ordered_json& run_a,
                                                 const nlohmann::ordered_json& run_b);

/// One JSON row for `--format json`.
nlohmann::ordered_json comparison_json(const Comparison& row);

}  // namespace deformer
