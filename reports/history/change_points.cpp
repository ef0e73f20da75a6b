#include "reports/history/change_points.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>

#include "profilers/statistics.hpp"

namespace deformer {
namespace {

/// How many values, and their sum, rank by rank (Fenwick, 1994).
class RankSums {
 public:
  explicit RankSums(std::size_t ranks) : counts_(ranks + 1, 0), sums_(ranks + 1, 0) {}

  void add(std::size_t rank, double value) {
    for (std::size_t i = rank + 1; i < counts_.size(); i += i & -i) {
      counts_[i] += 1;
      sums_[i] += value;
    }
    count_ += 1;
    sum_ += value;
  }

  /// Sum of |value - x| over all x that were added.
  double distances_to(std::size_t rank, double value) const {
    double count = 0;
    double sum = 0;
    for (std::size_t i = rank + 1; i > 0; i -= i & -i) {
      count += counts_[i];
      sum += sums_[i];
    }
    return value * count - sum + (sum_ - sum) - value * (count_ - count);
  }

 private:
  std::vector<double> counts_, sums_;
  double count_ = 0, sum_ = 0;
};

/// Values, and the place of each among them sorted.
struct Ranked {
  std::vector<double> values;
  std::vector<std::size_t> ranks;

  explicit Ranked(std::span<const double> from)
      : values(from.begin(), from.end()), ranks(from.size()) {
    std::vector<std::size_t> order(from.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
    for (std::size_t r = 0; r < order.size(); ++r) ranks[order[r]] = r;
  }
  std::size_t size() const { return values.size(); }
};

/// The largest Q when the values come in this order. Moving one value over changes the sums of
/// distances within either side by the distances to it: O(n log n) for all splits.
EnergySplit best_split(const Ranked& ranked, const std::vector<std::size_t>& order,
                       std::size_t smallest) {
  const std::size_t size = order.size();
  RankSums all(size);
  double right = 0;  // sum of distances over pairs on the right
  for (const std::size_t i : order) {
    right += all.distances_to(ranked.ranks[i], ranked.values[i]);
    all.add(ranked.ranks[i], ranked.values[i]);
  }
  const double total = right;
  double left = 0;
  RankSums moved(size);
  EnergySplit best;
  for (std::size_t count = 1; count + smallest <= size; ++count) {
    const std::size_t i = order[count - 1];
    const double to_left = moved.distances_to(ranked.ranks[i], ranked.values[i]);
    left += to_left;
    right -= all.distances_to(ranked.ranks[i], ranked.values[i]) - to_left;
    moved.add(ranked.ranks[i], ranked.values[i]);
    if (count < smallest || count < 2 || size - count < 2) continue;
    const auto m = static_cast<double>(count);
    const auto n = static_cast<double>(size - count);
    const double energy =
        2 * (total - left - right) / (m * n) - left / (m * (m - 1) / 2) - right / (n * (n - 1) / 2);
    const double q = m * n / (m + n) * energy;
    if (best.index == 0 || q > best.q) best = {q, count};
  }
  return best;
}

/// The p of the largest split among those of the values in random order; the search ends when it
/// is sure to be above `alpha`.
double split_p(std::span<const double> values, const ChangePointOptions& options,
               std::mt19937_64& random) {
  const Ranked ranked(values);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const double observed = best_split(ranked, order, options.smallest_segment).q;
  const double trials = static_cast<double>(options.permutations) + 1;
  double above = 1;  // the order that was observed is one of the orders
  for (std::size_t trial = 0; trial < options.permutations; ++trial) {
    for (std::size_t i = order.size(); i > 1; --i) {  // std::shuffle differs between libraries
      std::swap(order[i - 1], order[random() % i]);
    }
    if (best_split(ranked, order, options.smallest_segment).q >= observed * (1 - 1e-12)) {
      above += 1;
      if (above > options.alpha * trials * (1 + 1e-9)) {
        return std::max(above / trials, above / static_cast<double>(trial + 2));
      }
    }
  }
  return above / trials;
}

/// The series with what stands out from its neighbours drawn in, in units of `noise`: one wild run
/// pulls on PELT's squares as a level of many would.
std::vector<double> tamed(std::span<const double> values, double noise) {
  constexpr std::size_t kNeighbours = 4;  // on either side
  constexpr double kFarthest = 3;
  std::vector<double> result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t begin = i - std::min(i, kNeighbours);
    const std::size_t end = std::min(values.size(), i + kNeighbours + 1);
    const double middle = median(values.subspan(begin, end - begin)).value_or(0) / noise;
    result.push_back(std::clamp(values[i] / noise, middle - kFarthest, middle + kFarthest));
  }
  return result;
}

double median_of(std::span<const double> values) {
  return median(values).value_or(0);
}

/// Proposals with their p, thinned out until all hold.
class Tester {
 public:
  Tester(std::span<const double> values, const ChangePointOptions& options)
      : values_(values), options_(options), random_(options.seed) {}

  std::vector<ChangePoint> keep(const std::vector<std::size_t>& proposals) {
    // Each proposal is one more chance for noise: they share alpha (Bonferroni).
    const std::size_t share = std::max<std::size_t>(1, proposals.size());
    options_.alpha /= static_cast<double>(share);
    options_.permutations = (options_.permutations + 1) * share - 1;
    bounds_ = {0};
    bounds_.insert(bounds_.end(), proposals.begin(), proposals.end());
    bounds_.push_back(values_.size());
    p_.assign(bounds_.size(), std::nullopt);
    while (bounds_.size() > 2) {
      std::size_t worst = 1;
      for (std::size_t i = 1; i + 1 < bounds_.size(); ++i) {
        if (!p_[i]) p_[i] = split_p(span_around(i), options_, random_);
        if (*p_[i] > *p_[worst]) worst = i;
      }
      if (*p_[worst] <= options_.alpha * (1 + 1e-9)) break;
      p_[worst - 1] = p_[worst + 1] = std::nullopt;  // their segments grow
      bounds_.erase(bounds_.begin() + static_cast<std::ptrdiff_t>(worst));
      p_.erase(p_.begin() + static_cast<std::ptrdiff_t>(worst));
    }
    std::vector<ChangePoint> kept;
    for (std::size_t i = 1; i + 1 < bounds_.size(); ++i) {
      kept.push_back({bounds_[i], median_of(segment(i - 1)), median_of(segment(i)), *p_[i]});
    }
    return kept;
  }

 private:
  std::span<const double> segment(std::size_t i) const {
    return values_.subspan(bounds_[i], bounds_[i + 1] - bounds_[i]);
  }
  /// The two segments beside a proposal, of long ones the nearer part: enough to decide, and a
  /// series of any length is tested in the time that its changes take.
  std::span<const double> span_around(std::size_t i) const {
    constexpr std::size_t kMost = 200;
    const std::size_t begin = bounds_[i] - std::min(kMost, bounds_[i] - bounds_[i - 1]);
    const std::size_t end = bounds_[i] + std::min(kMost, bounds_[i + 1] - bounds_[i]);
    return values_.subspan(begin, end - begin);
  }

  std::span<const double> values_;
  ChangePointOptions options_;
  std::mt19937_64 random_;
  std::vector<std::size_t> bounds_;
  std::vector<std::optional<double>> p_;
};

}  // namespace

double difference_noise(std::span<const double> values) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < values.size(); ++i) {
    steps.push_back(std::abs(values[i] - values[i - 1]));
  }
  // A difference of two normals has deviation sqrt(2); the median of its absolute value is 0.6745
  // of that, the mean sqrt(2 / pi).
  constexpr double kMedian = 0.6745 * 1.41421356;
  constexpr double kMean = 0.79788456 * 1.41421356;
  const double middle = median_of(steps);
  return middle > 0 ? middle / kMedian : mean(steps).value_or(0) / kMean;
}

std::vector<std::size_t> pelt(std::span<const double> values, double penalty,
                              std::size_t smallest_segment) {
  const std::size_t size = values.size();
  const std::size_t smallest = std::max<std::size_t>(1, smallest_segment);
  std::vector<double> sums(size + 1, 0);
  std::vector<double> squares(size + 1, 0);
  const double centre = median_of(values);  // keeps the squares small
  for (std::size_t i = 0; i < size; ++i) {
    const double x = values[i] - centre;
    sums[i + 1] = sums[i] + x;
    squares[i + 1] = squares[i] + x * x;
  }
  const auto cost = [&](std::size_t begin, std::size_t end) {
    const double sum = sums[end] - sums[begin];
    return squares[end] - squares[begin] - sum * sum / static_cast<double>(end - begin);
  };
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> best(size + 1, kNever);  // of the first values; F in the paper
  std::vector<std::size_t> last(size + 1, 0);
  best[0] = -penalty;
  std::vector<std::size_t> candidates;  // where the last segment may begin; R in the paper
  for (std::size_t end = smallest; end <= size; ++end) {
    const std::size_t newest = end - smallest;
    if (best[newest] < kNever) candidates.push_back(newest);
    for (const std::size_t begin : candidates) {
      const double total = best[begin] + cost(begin, end) + penalty;
      if (total < best[end]) {
        best[end] = total;
        last[end] = begin;
      }
    }
    // The cost of squares never grows when a segment is cut, so K of the paper is 0. Cutting at
    // `cut` instead is allowed for all ends to come: from there a smallest segment fits.
    const std::size_t cut = end + 1 - smallest;
    std::erase_if(candidates, [&](std::size_t begin) {
      return begin < cut && best[begin] + cost(begin, cut) > best[cut];
    });
  }
  std::vector<std::size_t> cuts;
  for (std::size_t end = size; end > 0 && last[end] > 0; end = last[end]) cuts.push_back(last[end]);
  std::ranges::reverse(cuts);
  return cuts;
}

EnergySplit best_energy_split(std::span<const double> values, std::size_t smallest_segment) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  return best_split(Ranked(values), order, smallest_segment);
}

std::vector<ChangePoint> change_points(std::span<const double> values,
                                       const ChangePointOptions& options) {
  if (!std::ranges::all_of(values, [](double x) { return std::isfinite(x); })) {
    throw std::invalid_argument("change_points: a value is not finite");
  }
  const std::size_t smallest = std::max<std::size_t>(2, options.smallest_segment);
  const double noise = difference_noise(values);
  if (values.size() < 2 * smallest || noise <= 0) return {};
  const std::vector<double> scaled = tamed(values, noise);
  const double penalty = 2 * std::log(static_cast<double>(values.size()));
  return Tester(values, options).keep(pelt(scaled, penalty, smallest));
}

}  // namespace deformer
