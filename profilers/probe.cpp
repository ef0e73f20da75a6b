#include "profilers/probe.hpp"

#include <algorithm>
#include <array>

#include "profilers/arithmetic.hpp"

// Why 90 %. 2000 bursts back to back on a 2-core AMD EPYC (Zen 3) virtual machine, of the median:
//
//                                        p1     p5     p10    p25    p75    p99    below 90 %
//   1 thread, the other core compiling   0.60   1.00   1.00   1.00   1.00   1.00      2.0 %
//   1 thread, load 10, real-time class   0.52   0.93   0.97   0.99   1.00   1.00      3.3 %
//   2 threads, load 10, real-time class  0.49   0.90   0.94   0.98   1.00   1.01      4.4 %
//   2 threads, load 8, ordinary class    0.00   0.00   0.00   0.00   1.07   1.08     17 %
//
// (The AVX2 loop: 1 thread runs at 103.6 GFLOP/s, 32 FLOP a cycle. No quiet machine was at hand;
// the real-time class stands in for one.) What nothing disturbs lies within 1 % of the median; what
// a timer tick or another process hits falls far below; between 0.9 and 0.97 lie almost none with
// little going on, and one in ten at load 10. Steps of the clock (boost) are up to 10 %: a higher
// threshold would throw rounds out at every one of them. The median of the latest 64 follows such
// steps. A burst after an idle pause (2 ms asleep: p5 0.74..0.94) says more about the clock than
// about a disturbance: burst beside the work, not after a sleep.
//
// The team must be the one that is measured: libgomp ends and starts threads when the next parallel
// region has another number of them, so a probe should have the threads of what it watches.

namespace deformer {
namespace {

constexpr std::int64_t kTargetNs = 50'000;
constexpr double kDisturbedBelow = 0.9;
constexpr std::size_t kNeeded = 8;
constexpr std::size_t kWindow = 64;  ///< latest bursts compared with

}  // namespace

Probe::Probe(int threads)
    : threads_(std::max(threads, 1)),
      loop_(*widest_loop("f32")),
      iterations_(iterations_lasting(loop_, kTargetNs)) {}

double Probe::burst() const {
  return burst_rate(loop_, threads_, iterations_);
}

bool disturbed(double rate, std::span<const double> earlier) {
  if (earlier.size() < kNeeded) return false;
  const std::span<const double> latest = earlier.last(std::min(earlier.size(), kWindow));
  std::array<double, kWindow> window;
  std::copy(latest.begin(), latest.end(), window.begin());
  const auto middle = window.begin() + static_cast<std::ptrdiff_t>(latest.size() / 2);
  std::nth_element(window.begin(), middle,
                   window.begin() + static_cast<std::ptrdiff_t>(latest.size()));
  return rate < kDisturbedBelow * *middle;
}

}  // namespace deformer
