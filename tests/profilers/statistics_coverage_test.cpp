// Does median_interval hold the truth when the rounds stop because of it? Simulates the harness:
// one ratio a round, a look on the schedule, stop at the first look where the interval lies within
// 1 % of the median, or at the limit.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "profilers/statistics.hpp"

namespace deformer {
namespace {

constexpr std::array<std::int64_t, 4> kLimits = {22, 110, 553, 1000};
constexpr double kIndependentFloor = 0.94;
constexpr double kDependentFloor = 0.92;

/// Normal numbers that are the same with every standard library (its distributions are not).
class Normal {
 public:
  explicit Normal(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  double operator()() {
    if (spare_ready_) {
      spare_ready_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    spare_ready_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 engine_;
  double spare_ = 0;
  bool spare_ready_ = false;
};

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

// Noises as increasing functions of a normal number, each with median 0 and scale about 1.
double gaussian(double z) {
  return z;
}
double lognormal(double z) {
  return std::exp(z) - 1;
}
double lognormal_down(double z) {
  return 1 - std::exp(-z);
}
double exponential(double z) {
  return -std::log(normal_cdf(-z)) - std::numbers::ln2;
}
double exponential_down(double z) {
  return -exponential(-z);
}
double student2(double z) {  // Student's t with 2 degrees of freedom has a closed quantile function
  const double a = 2 * normal_cdf(z) - 1;
  return a * std::sqrt(2 / std::max(1e-300, 4 * normal_cdf(z) * normal_cdf(-z)));
}

enum class Process {
  kIndependent,
  kAr,             ///< the normal numbers are AR(1) with 0.3
  kArInnovations,  ///< the noise itself is AR(1) with 0.3, driven by independent noise
  kSharedFull,     ///< (f[i] + f[i+1]) / 2 / v[i]: neighbouring ratios share a `full`
};
const char* name_of(Process process) {
  constexpr std::array<const char*, 4> kNames = {"independent", "AR(1) 0.3", "AR(1) innov.",
                                                 "shared full"};
  return kNames[static_cast<std::size_t>(process)];
}

struct Noise {
  const char* name;
  double (*of_normal)(double);
  bool outliers = false;  ///< one sample in ten lies 30 % higher
};
constexpr std::array<Noise, 7> kNoises = {{{"normal", gaussian},
                                           {"lognormal", lognormal},
                                           {"lognormal down", lognormal_down},
                                           {"t(2)", student2},
                                           {"exponential", exponential},
                                           {"exponential down", exponential_down},
                                           {"normal, outliers", gaussian, true}}};

/// The samples of one run, in time order.
class Source {
 public:
  Source(const Noise& noise, double level, Process process, std::uint64_t seed)
      : noise_(noise), level_(level), process_(process), normal_(seed) {
    state_ = normal_();
    if (process_ == Process::kArInnovations) {
      for (int i = 0; i < 30; ++i) step();  // forget the start
    }
    full_ = 1 + level_ * noise_.of_normal(state_);
  }
  double operator()() {
    const double outlier = noise_.outliers && normal_.uniform() < 0.1 ? 0.3 : 0;
    if (process_ != Process::kSharedFull) return 1 + level_ * step() + outlier;
    const double before = full_;
    full_ = 1 + level_ * noise_.of_normal(normal_());
    return (before + full_) / 2 / (1 + level_ * noise_.of_normal(normal_()) + outlier);
  }
  double step() {
    switch (process_) {
      case Process::kAr:
        state_ = kRho * state_ + std::sqrt(1 - kRho * kRho) * normal_();
        return noise_.of_normal(state_);
      case Process::kArInnovations:
        return state_ = kRho * state_ + noise_.of_normal(normal_());
      default:
        return noise_.of_normal(normal_());
    }
  }

 private:
  static constexpr double kRho = 0.3;
  const Noise& noise_;
  double level_;
  Process process_;
  Normal normal_;
  double state_ = 0;
  double full_ = 1;
};

/// Known where the noise is one increasing function of one normal number; else of 2 000 000
/// samples, twenty times closer than the narrowest interval here.
double true_median(const Noise& noise, double level, Process process) {
  const bool one_number = process == Process::kIndependent || process == Process::kAr;
  if (one_number && !noise.outliers) return 1;
  if (one_number) {
    double low = 0;
    double high = 2;
    for (int i = 0; i < 80; ++i) {
      const double z = (low + high) / 2;
      (0.9 * normal_cdf(z) + 0.1 * normal_cdf(z - 0.3 / level) < 0.5 ? low : high) = z;
    }
    return 1 + level * low;
  }
  Source source(noise, level, process, 99);
  std::vector<double> samples(2'000'000);
  for (double& x : samples) x = source();
  return *median(samples);
}

struct Outcome {
  std::array<double, kLimits.size()> coverage{};
  double rounds = 0;  ///< mean, at the highest limit
  double lowest() const { return *std::min_element(coverage.begin(), coverage.end()); }
};

/// One run serves all limits: a run with a lower limit is its beginning.
void simulate_run(Source& source, double truth, Outcome& sum) {
  std::vector<double> samples;
  std::size_t limit = 0;
  std::int64_t look = next_look(0);
  while (limit < kLimits.size()) {
    const std::int64_t until = std::min(look, kLimits[limit]);
    while (static_cast<std::int64_t>(samples.size()) < until) samples.push_back(source());
    const Interval interval = *median_interval(samples);
    const bool covered = interval.low <= truth && truth <= interval.high;
    const bool stop = until == look && within(interval, *median(samples), 0.01);
    const std::size_t decided = stop ? kLimits.size() : limit + (until == kLimits[limit] ? 1 : 0);
    for (; limit < decided; ++limit) sum.coverage[limit] += covered ? 1 : 0;
    if (until == look) look = next_look(look);
  }
  sum.rounds += static_cast<double>(samples.size());
}

Outcome simulate(const Noise& noise, double level, Process process, int runs) {
  const double truth = true_median(noise, level, process);
  Outcome outcome;
  for (int run = 0; run < runs; ++run) {
    Source source(noise, level, process, 1000 + static_cast<std::uint64_t>(run));
    simulate_run(source, truth, outcome);
  }
  for (double& x : outcome.coverage) x /= runs;
  outcome.rounds /= runs;
  return outcome;
}

/// Runs one case, prints its row, and expects its floor, less `allowance` standard errors of that
/// many runs.
void expect_covered(const Noise& noise, double level, Process process, int runs, double allowance) {
  const Outcome outcome = simulate(noise, level, process, runs);
  std::printf("%-12s %-16s %5.1f %%   %.4f %.4f %.4f %.4f  %7.1f\n", name_of(process), noise.name,
              100 * level, outcome.coverage[0], outcome.coverage[1], outcome.coverage[2],
              outcome.coverage[3], outcome.rounds);
  const double required = process == Process::kIndependent ? kIndependentFloor : kDependentFloor;
  const double error = std::sqrt(required * (1 - required) / runs);
  EXPECT_GE(outcome.lowest(), required - allowance * error)
      << name_of(process) << ", " << noise.name << ", level " << level;
}

void print_header(int runs) {
  std::printf("coverage of the 95 %% interval, %d runs a case, stopped at 22 / 110 / 553 / 1000\n",
              runs);
  std::printf("%-12s %-16s %7s   %6s %6s %6s %6s  %7s\n", "process", "noise", "level", "22", "110",
              "553", "1000", "rounds");
}

TEST(MedianIntervalCoverage, HoldsUnderOptionalStopping) {
  constexpr int kRuns = 2000;
  print_header(kRuns);
  for (const Noise& noise : kNoises) {
    for (const double level : {0.01, 0.03}) {
      for (const Process process : {Process::kIndependent, Process::kAr}) {
        expect_covered(noise, level, process, kRuns, 3);
      }
    }
  }
}

// All cases, at levels where the rounds stop at different looks: what the selection does is worst
// where a look is as likely to stop them as not. No allowance.
TEST(MedianIntervalCoverage, LongHoldsForAllNoisesAndLevels) {
  constexpr int kRuns = 20000;
  print_header(kRuns);
  for (const Process process :
       {Process::kIndependent, Process::kAr, Process::kArInnovations, Process::kSharedFull}) {
    for (const Noise& noise : kNoises) {
      // Outliers are a mixture, not an innovation; and of a ratio's parts one noise is enough.
      if (noise.outliers && process == Process::kArInnovations) continue;
      for (const double level : {0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08}) {
        // A time of 1 + level * noise must stay positive to be divided by.
        if (process == Process::kSharedFull && (level > 0.03 || noise.of_normal == student2))
          continue;
        expect_covered(noise, level, process, kRuns, 0);
      }
    }
  }
}

}  // namespace
}  // namespace deformer
