#include "reports/splits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "profilers/statistics.hpp"
#include "reports/fields.hpp"
#include "reports/numbers.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

struct Curve {
  std::string name;
  std::vector<const Json*> points;  ///< ok records with a speedup
};

double speedup_of(const Json* record) {
  return *positive_field(*record, "speedup.median");
}

std::int64_t split_of(const Json* record) {
  return static_cast<std::int64_t>(number_field(*record, "point.split").value_or(0));
}

std::vector<double> numbers_at(const Json& record, std::string_view path) {
  std::vector<double> numbers;
  const Json* list = field(record, path);
  if (list == nullptr || !list->is_array()) return numbers;
  for (const Json& value : *list) numbers.push_back(value.is_number() ? value.get<double>() : 0);
  return numbers;
}

/// Interval of speedup a over speedup b, round by round; nullopt unless one set measured both.
std::optional<Interval> paired(const Json& a, const Json& b) {
  const auto set = text_field(a, "set");
  if (!set || set != text_field(b, "set") || text_field(a, "run") != text_field(b, "run")) {
    return std::nullopt;
  }
  const auto of_a = numbers_at(a, "speedup.samples");
  const auto of_b = numbers_at(b, "speedup.samples");
  if (of_a.empty() || of_a.size() != of_b.size()) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    if (of_a[i] <= 0 || of_b[i] <= 0) return std::nullopt;
    ratios.push_back(of_a[i] / of_b[i]);
  }
  return median_interval(ratios);
}

bool can_tell_apart(const Json* a, const Json* b) {
  if (const auto interval = paired(*a, *b)) return interval->low > 1 || interval->high < 1;
  const auto low_a = positive_field(*a, "speedup.ci_low");
  const auto high_a = positive_field(*a, "speedup.ci_high");
  const auto low_b = positive_field(*b, "speedup.ci_low");
  const auto high_b = positive_field(*b, "speedup.ci_high");
  if (!low_a || !high_a || !low_b || !high_b) return false;
  return *low_a > *high_b || *low_b > *high_a;
}

std::string finding(Curve curve) {
  std::ranges::sort(curve.points, std::greater<>{}, speedup_of);
  const Json* best = curve.points.front();
  std::string text = fmt::format("{}: fastest k={} at {}", curve.name, split_of(best),
                                 human_ratio(speedup_of(best)));
  std::vector<std::vector<std::int64_t>> alike = {{split_of(best)}};
  for (std::size_t i = 1; i < curve.points.size(); ++i) {
    if (can_tell_apart(curve.points[i - 1], curve.points[i])) alike.emplace_back();
    alike.back().push_back(split_of(curve.points[i]));
  }
  bool any = false;
  for (auto& cluster : alike) {
    if (cluster.size() < 2) continue;
    std::ranges::sort(cluster);
    text += fmt::format("; k={} cannot be told apart", fmt::join(cluster, ","));
    any = true;
  }
  return text + (any ? "" : "; every k can be told from the next");
}

}  // namespace

std::vector<std::string> split_findings(const std::vector<Json>& records) {
  std::map<std::string, Curve> curves;
  std::vector<std::string> order;
  for (const Json& record : records) {
    const auto variant = text_field(record, "point.variant").value_or("");
    const Json* parity = field(record, "parity.ok");
    if (variant == "full" || text_field(record, "status") != "ok" ||
        (parity != nullptr && *parity == Json(false)) ||
        !positive_field(record, "speedup.median")) {
      continue;
    }
    const std::string id = text_field(record, "group").value_or("") + variant +
                           text_field(record, "point.cache_dtype").value_or("") +
                           text_field(record, "point.cache_at").value_or("");
    if (!curves.contains(id)) order.push_back(id);
    Curve& curve = curves[id];
    if (curve.points.empty()) {
      curve.name = text_field(record, "name").value_or("");
      const std::size_t at = curve.name.find("/k");
      if (at != std::string::npos) curve.name.erase(at, curve.name.find('/', at + 1) - at);
    }
    curve.points.push_back(&record);
  }
  std::vector<std::string> findings;
  for (const std::string& id : order) {
    if (curves[id].points.size() > 1) findings.push_back(finding(curves[id]));
  }
  return findings;
}

}  // namespace deformer
