#include "reports/gate/origin.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace deformer {
namespace {

/// A name must hold this share of the change, and this many times what the next one holds.
constexpr double kShare = 0.5;
constexpr double kLead = 1.5;

using NameOf = std::function<std::string(const RangeDifference&)>;

/// The group of ranges that stands out, or nothing.
std::string standing_out(const Attribution& attribution, double change_ns, const NameOf& name_of) {
  std::map<std::string, double> sums;
  for (const RangeDifference& range : attribution.ranges) {
    if (const std::string name = name_of(range); !name.empty()) {
      sums[name] += change_ns < 0 ? -range.excess_ns : range.excess_ns;
    }
  }
  const auto largest =
      std::ranges::max_element(sums, {}, [](const auto& entry) { return entry.second; });
  if (largest == sums.end() || largest->second < kShare * std::abs(change_ns)) {
    return "";
  }
  for (const auto& [name, sum] : sums) {
    if (name != largest->first && sum * kLead > largest->second) {
      return "";
    }
  }
  return largest->first;
}

std::string up_to_slash(const std::string& path, std::size_t slashes) {
  std::size_t at = 0;
  for (std::size_t seen = 0; (at = path.find('/', at)) != std::string::npos; ++at) {
    if (++seen == slashes) {
      return path.substr(0, at);
    }
  }
  return "";
}

}  // namespace

Origin origin_of(const Attribution& attribution) {
  double excess_ns = 0;
  for (const RangeDifference& range : attribution.ranges) {
    excess_ns += range.excess_ns;
  }
  const double whole_ns = attribution.whole_b_ns - attribution.whole_a_ns;
  // What is everywhere alike is in the whole but in no excess: then nothing stands out.
  const double change_ns = std::abs(excess_ns) > std::abs(whole_ns) ? excess_ns : whole_ns;
  if (change_ns == 0 || attribution.ranges.empty()) {
    return {};
  }
  const std::string level = attribution.ranges.front().level;
  const auto is_op = [](const RangeDifference& range) { return range.level == "op"; };
  const std::vector<std::pair<std::string, NameOf>> ways = {
      {level, [](const RangeDifference& range) { return range.path; }},
      {"op",
       [&](const RangeDifference& range) {
         return is_op(range) ? range.path.substr(range.path.rfind('/') + 1) : "";
       }},
      {"layer",
       [&](const RangeDifference& range) {
         return is_op(range) ? up_to_slash(range.path, 2) : "";
       }},
      {"phase", [](const RangeDifference& range) { return up_to_slash(range.path, 1); }}};
  for (const auto& [name, way] : ways) {
    if (const std::string where = standing_out(attribution, change_ns, way); !where.empty()) {
      return {where, name};
    }
  }
  return {};
}

}  // namespace deformer
