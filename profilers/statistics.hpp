#pragma once
/// Statistics of samples: pure functions, nullopt where there are too few samples to say, and where
/// a sample is not a finite number.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace deformer {

struct Interval {
  double low;
  double high;
};

/// Median (mean of the middle two for an even count). nullopt for no samples.
std::optional<double> median(std::span<const double> samples);
std::optional<double> mean(std::span<const double> samples);
/// Sample standard deviation (n - 1). nullopt below two samples.
std::optional<double> stdev(std::span<const double> samples);

/// The p-th percentile (0 < p < 1), nearest rank; nullopt unless the samples support it, i.e.
/// unless an order-statistic upper 95 % confidence limit for it exists: 1 - p^n >= 0.95 (p90: 29
/// samples, p99: 299).
std::optional<double> percentile(std::span<const double> samples, double p);

/// 95 % interval of the median of samples taken in time order, one a round. Honest under the
/// harness's optional stopping (looks on a geometric schedule) and under mild autocorrelation; see
/// statistics.cpp for the construction and tests/profilers for the measured coverage.
/// nullopt below 6 samples.
std::optional<Interval> median_interval(std::span<const double> samples_in_time_order);

/// Coverage of the interval from the r-th smallest to the r-th largest of n independent samples for
/// the median of any continuous distribution: P(r <= X <= n - r), X binomial(n, 1/2). 1 <= r <=
/// n/2.
double sign_test_coverage(std::int64_t n, std::int64_t r);
/// The largest such r with coverage >= `confidence`; nullopt if even min..max has less.
std::optional<std::int64_t> sign_test_rank(std::int64_t n, double confidence);

/// Rounds at which the harness looks: 10, 15, 22, 33, ... (each half as many again, rounded down),
/// the largest not above `limit`. The first look is at 10.
std::vector<std::int64_t> look_schedule(std::int64_t limit);
/// The look after `rounds` (10 when rounds < 10).
std::int64_t next_look(std::int64_t rounds);

/// True when the interval lies within +-`relative` of `centre`.
bool within(const Interval& interval, double centre, double relative);

/// Geometric mean of positive numbers; nullopt for none or if one is not positive.
std::optional<double> geometric_mean(std::span<const double> values);

/// Indices of at most `limit` of `count` rounds, evenly spread, first and last kept.
std::vector<std::int64_t> thin(std::int64_t count, std::int64_t limit);

}  // namespace deformer
