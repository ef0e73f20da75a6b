#include "reports/gate/other_rules.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "reports/gate/distributions.hpp"

namespace deformer {

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  std::vector<std::pair<double, bool>> all;  // value, is of a
  all.reserve(a.size() + b.size());
  for (const double value : a) {
    all.emplace_back(value, true);
  }
  for (const double value : b) {
    all.emplace_back(value, false);
  }
  std::ranges::sort(all, {}, &std::pair<double, bool>::first);
  double ranks_of_a = 0;
  double ties = 0;  // sum of t^3 - t over groups of t equal values
  for (std::size_t first = 0; first < all.size();) {
    std::size_t last = first;
    std::size_t of_a = 0;
    while (last < all.size() && all[last].first == all[first].first) {
      of_a += all[last++].second ? 1 : 0;
    }
    const auto equal = static_cast<double>(last - first);
    const double rank = static_cast<double>(first) + (equal + 1) / 2;
    ranks_of_a += rank * static_cast<double>(of_a);
    ties += equal * equal * equal - equal;
    first = last;
  }
  const auto n_a = static_cast<double>(a.size());
  const auto n_b = static_cast<double>(b.size());
  const double n = n_a + n_b;
  const double u = ranks_of_a - n_a * (n_a + 1) / 2;
  const double spread = std::sqrt(n_a * n_b / 12 * (n + 1 - ties / (n * (n - 1))));
  if (!(spread > 0)) {
    return 1;
  }
  const double z = (std::abs(u - n_a * n_b / 2) - 0.5) / spread;
  return std::min(1.0, 2 * student_upper(z, std::numeric_limits<double>::infinity()));
}

}  // namespace deformer
