#pragma once
/// Which phase, layer and operation a difference between two records comes from.
///
/// Ranges are paired by path at the finest level that both records have (operations where they were
/// recorded, else phases). What changed everywhere alike (a slower clock) is told apart: the common
/// ratio is the median of the ranges' ratios, weighted by their time in A, and a range's excess is
/// what it takes beyond that. Ranges are named by excess, in the direction of the whole change.

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

struct RangeDifference {
  std::string path;
  std::string level;  ///< "phase", "layer" or "op"
  double a_ns, b_ns;
  double excess_ns;  ///< b - a x common ratio
};

struct Attribution {
  double whole_a_ns, whole_b_ns;  ///< sums of the ranges
  double common_ratio;  ///< 1 where a single range weighs over a third: it would name itself common
  std::vector<RangeDifference> ranges;  ///< largest first
  std::string injected_a, injected_b;   ///< slowdowns that were planted
};

/// nullopt when the records have no ranges in common.
std::optional<Attribution> attribute(const nlohmann::ordered_json& a,
                                     const nlohmann::ordered_json& b);

/// Attributions of all pairs of the two sides (by key, both ok), with their names.
struct NamedAttribution {
  std::string key, name;
  Attribution attribution;
};
std::vector<NamedAttribution> attribute_records(const std::vector<nlohmann::ordered_json>& a,
                                                const std::vector<nlohmann::ordered_json>& b);

/// The first `most` ranges of each pair.
Table attribution_table(const std::vector<NamedAttribution>& rows, std::size_t most);

/// {"common_ratio":...,"injected":{"a":...,"b":...},"ranges":[{"path","level","a_ns","b_ns",
/// "difference_ns","excess_ns","excess_fraction": of A's whole}]}
nlohmann::ordered_json attribution_json(const Attribution& attribution);

}  // namespace deformer
