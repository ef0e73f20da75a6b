#include "reports/attribution.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

/// No range may weigh more than this, or the weighted median is that range itself.
constexpr double kHeaviest = 1.0 / 3;

struct Timed {
  std::string path, level;
  double ns;
};

std::vector<Timed> of_level(const Json& ranges, const std::string& level) {
  std::vector<Timed> found;
  for (const Json& row : ranges) {
    const auto ns = number_field(row, "median_ns");
    const auto path = text_field(row, "path");
    if (ns && path && text_field(row, "level") == level) {
      found.push_back({*path, level, *ns});
    }
  }
  return found;
}

std::vector<Timed> phases_of(const Json& record) {
  std::vector<Timed> found;
  const Json* phases = field(record, "phases");
  if (phases == nullptr || !phases->is_array()) {
    return found;
  }
  for (const Json& row : *phases) {
    const auto ns = number_field(row, "median_ns");
    const auto name = text_field(row, "name");
    if (ns && name) {
      found.push_back({*name, "phase", *ns});
    }
  }
  return found;
}

/// Finest first. At `layer` the phases without layers stand beside the layers.
std::vector<std::vector<Timed>> levels_of(const Json& record) {
  std::vector<std::vector<Timed>> levels;
  const Json* ranges = field(record, "ranges");
  if (ranges != nullptr && ranges->is_array()) {
    levels.push_back(of_level(*ranges, "op"));
    std::vector<Timed> layers = of_level(*ranges, "layer");
    for (const Timed& phase : of_level(*ranges, "phase")) {
      const bool has_layers = std::ranges::any_of(
          layers, [&](const Timed& layer) { return layer.path.starts_with(phase.path + "/"); });
      if (!has_layers && !layers.empty()) {
        layers.push_back(phase);
      }
    }
    levels.push_back(std::move(layers));
  } else {
    levels.resize(2);
  }
  levels.push_back(phases_of(record));
  return levels;
}

std::vector<RangeDifference> pair_up(const std::vector<Timed>& a, const std::vector<Timed>& b) {
  std::map<std::string, double> in_b;
  for (const Timed& range : b) {
    in_b[range.path] = range.ns;
  }
  std::vector<RangeDifference> pairs;
  for (const Timed& range : a) {
    if (const auto found = in_b.find(range.path); found != in_b.end()) {
      pairs.push_back({range.path, range.level, range.ns, found->second, 0});
    }
  }
  return pairs;
}

double common_ratio(std::vector<RangeDifference> pairs, double whole_ns) {
  std::erase_if(pairs, [](const RangeDifference& pair) { return pair.a_ns <= 0; });
  if (whole_ns <= 0 || std::ranges::any_of(pairs, [&](const RangeDifference& pair) {
        return pair.a_ns > kHeaviest * whole_ns;
      })) {
    return 1;
  }
  std::ranges::sort(pairs, {}, [](const RangeDifference& pair) { return pair.b_ns / pair.a_ns; });
  double below = 0;
  for (const RangeDifference& pair : pairs) {
    below += pair.a_ns;
    if (below >= whole_ns / 2) {
      return pair.b_ns / pair.a_ns;
    }
  }
  return 1;
}

double sum_of(const std::vector<RangeDifference>& pairs, double RangeDifference::*figure) {
  return std::accumulate(
      pairs.begin(), pairs.end(), 0.0,
      [figure](double sum, const RangeDifference& pair) { return sum + pair.*figure; });
}

std::string signed_time(double ns) {
  return fmt::format("{}{}", ns < 0 ? '-' : '+', human_time(std::abs(ns)));
}

std::string planted(const Attribution& attribution) {
  std::string text;
  for (const auto& [side, what] :
       {std::pair{"A", attribution.injected_a}, std::pair{"B", attribution.injected_b}}) {
    if (!what.empty()) {
      text += fmt::format("{}{} has a planted slowdown, --inject {}", text.empty() ? "" : "; ",
                          side, what);
    }
  }
  return text;
}

}  // namespace

std::optional<Attribution> attribute(const Json& a, const Json& b) {
  const auto levels_a = levels_of(a);
  const auto levels_b = levels_of(b);
  for (std::size_t level = 0; level < levels_a.size(); ++level) {
    std::vector<RangeDifference> pairs = pair_up(levels_a[level], levels_b[level]);
    if (pairs.empty()) {
      continue;
    }
    Attribution result;
    result.whole_a_ns = sum_of(pairs, &RangeDifference::a_ns);
    result.whole_b_ns = sum_of(pairs, &RangeDifference::b_ns);
    result.common_ratio = common_ratio(pairs, result.whole_a_ns);
    for (RangeDifference& pair : pairs) {
      pair.excess_ns = pair.b_ns - pair.a_ns * result.common_ratio;
    }
    // A change of the whole beyond the common one decides which end is of interest.
    const bool slower = sum_of(pairs, &RangeDifference::excess_ns) >= 0;
    std::ranges::stable_sort(pairs, [slower](const RangeDifference& x, const RangeDifference& y) {
      return slower ? x.excess_ns > y.excess_ns : x.excess_ns < y.excess_ns;
    });
    result.ranges = std::move(pairs);
    result.injected_a = text_field(a, "injected").value_or("");
    result.injected_b = text_field(b, "injected").value_or("");
    return result;
  }
  return std::nullopt;
}

std::vector<NamedAttribution> attribute_records(const std::vector<Json>& a,
                                                const std::vector<Json>& b) {
  std::map<std::string, const Json*> in_b;
  for (const Json& record : b) {
    in_b[text_field(record, "key").value_or("")] = &record;
  }
  std::vector<NamedAttribution> rows;
  for (const Json& record : a) {
    const std::string key = text_field(record, "key").value_or("");
    const auto other = in_b.find(key);
    if (other == in_b.end() || text_field(record, "status") != "ok" ||
        text_field(*other->second, "status") != "ok") {
      continue;
    }
    if (auto attribution = attribute(record, *other->second)) {
      rows.push_back({key, text_field(record, "name").value_or(key), std::move(*attribution)});
    }
  }
  return rows;
}

Table attribution_table(const std::vector<NamedAttribution>& rows, std::size_t most) {
  Table table;
  table.title = "Where the difference comes from";
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"path", "range", "", "Phase, layer and operation", true},
      {"a_ns", "A", "ns", "Median time in A"},
      {"b_ns", "B", "ns", "Median time in B"},
      {"difference_ns", "B - A", "ns", "Difference of the medians"},
      {"excess_ns", "excess", "ns", "Difference beyond what changed everywhere alike"},
      {"excess_fraction", "of A", "%", "Excess over the whole of A"},
  };
  for (const NamedAttribution& row : rows) {
    const Attribution& found = row.attribution;
    for (std::size_t i = 0; i < std::min(most, found.ranges.size()); ++i) {
      const RangeDifference& range = found.ranges[i];
      table.rows.push_back({i == 0 ? Cell(row.name) : Cell(""), range.path, human_time(range.a_ns),
                            human_time(range.b_ns), signed_time(range.b_ns - range.a_ns),
                            signed_time(range.excess_ns),
                            fmt::format("{:+.2f} %", 100 * range.excess_ns / found.whole_a_ns)});
    }
    if (const std::string what = planted(found); !what.empty()) {
      table.notes.push_back(fmt::format("{}: NOT A MEASUREMENT: {}", row.name, what));
    }
  }
  table.notes.emplace_back(
      "excess: beyond the ratio that all ranges have in common (weighted median; 1 where one range "
      "weighs over a third)");
  return table;
}

Json attribution_json(const Attribution& attribution) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
  };
  Json ranges = Json::array();
  for (const RangeDifference& range : attribution.ranges) {
    ranges.push_back({{"path", range.path},
                      {"level", range.level},
                      {"a_ns", range.a_ns},
                      {"b_ns", range.b_ns},
                      {"difference_ns", range.b_ns - range.a_ns},
                      {"excess_ns", range.excess_ns},
                      {"excess_fraction", range.excess_ns / attribution.whole_a_ns}});
  }
  return {
      {"common_ratio", attribution.common_ratio},
      {"injected",
       {{"a", text_or_null(attribution.injected_a)}, {"b", text_or_null(attribution.injected_b)}}},
      {"ranges", std::move(ranges)}};
}

}  // namespace deformer
