#include "profilers/probe.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "profilers/clock.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Why 90 %. 2000 bursts back to back on a 2-core AMD EPYC (Zen 3) virtual machine, of the median:
//
//                                        p1     p5     p10    p25    p75    p99    below 90 %
//   1 thread, the other core compiling   0.60   1.00   1.00   1.00   1.00   1.00      2.0 %
//   1 thread, load 10, real-time class   0.52   0.93   0.97   0.99   1.00   1.00      3.3 %
//   2 threads, load 10, real-time class  0.49   0.90   0.94   0.98   1.00   1.01      4.4 %
//   2 threads, load 8, ordinary class    0.00   0.00   0.00   0.00   1.07   1.08     17 %
//
// (1 thread runs at 103.6 GFLOP/s, 32 FLOP a cycle. No quiet machine was at hand; the real-time
// class stands in for one.) What nothing disturbs lies within 1 % of the median; what a timer tick
// or another process hits falls far below; between 0.9 and 0.97 lie almost none with little going
// on, and one in ten at load 10. Steps of the clock (boost) are up to 10 %: a higher threshold
// would throw rounds out at every one of them. The median of the latest 64 follows such steps. A
// burst after an idle pause (2 ms asleep: p5 0.74..0.94) says more about the clock than about a
// disturbance: burst beside the work, not after a sleep.
//
// The team must be the one that is measured: libgomp ends and starts threads when the next parallel
// region has another number of them, so a probe should have the threads of what it watches.

namespace deformer {
namespace {

constexpr std::int64_t kTargetNs = 50'000;
constexpr double kDisturbedBelow = 0.9;
constexpr std::size_t kNeeded = 8;
constexpr std::size_t kWindow = 64;  ///< latest bursts compared with

// Twelve independent chains hide the latency of a fused multiply-add (4 cycles, 2 a cycle: 8
// needed) and leave registers for the two constants. x <- x * a + b settles at 1: never denormal
// nor infinite.
constexpr int kChains = 12;
constexpr float kFactor = 0.5F;
constexpr float kAddend = 0.5F;

using Kernel = void (*)(std::int64_t iterations);

void kernel_generic(std::int64_t iterations) {
  std::array<float, kChains> x{};
  for (std::int64_t i = 0; i < iterations; ++i) {
    for (float& chain : x) chain = chain * kFactor + kAddend;
  }
  asm volatile("" : : "m"(x));  // somebody may look at the result: the loop stays
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void kernel_avx2(std::int64_t iterations) {
  const __m256 factor = _mm256_set1_ps(kFactor);
  const __m256 addend = _mm256_set1_ps(kAddend);
  __m256 x[kChains];
  for (__m256& chain : x) chain = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < iterations; ++i) {
    for (__m256& chain : x) chain = _mm256_fmadd_ps(chain, factor, addend);
  }
  asm volatile("" : : "m"(x));
}
#endif

struct Arithmetic {
  Kernel kernel;
  double flops_per_iteration;
};

Arithmetic choose_arithmetic() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {kernel_avx2, 2.0 * 8 * kChains};
  }
#endif
  return {kernel_generic, 2.0 * kChains};
}

const Arithmetic& arithmetic() {
  static const Arithmetic chosen = choose_arithmetic();
  return chosen;
}

struct Burst {
  std::int64_t elapsed_ns;
  int threads;  ///< how many there really were
};

/// From the first thread's start to the last one's end: a thread that is held up anywhere in
/// between makes the whole burst late. A team that slept since the last parallel region wakes at
/// different times, so it is lined up first, with a little arithmetic that also brings up clocks
/// and wide units.
Burst run_burst(int threads, std::int64_t iterations) {
  const Kernel kernel = arithmetic().kernel;
  std::int64_t start = std::numeric_limits<std::int64_t>::max();
  std::int64_t stop = 0;
  int team = 0;
#pragma omp parallel num_threads(threads) reduction(min : start) reduction(max : stop) \
    reduction(+ : team)
  {
#pragma omp barrier
    kernel(iterations / 8);
#pragma omp barrier
    start = now_ns();
    kernel(iterations);
    stop = now_ns();
    team = 1;
  }
  return {std::max<std::int64_t>(stop - start, 1), team};
}

/// Iterations that take about kTargetNs on one thread: of a few tries the quickest, the one least
/// held up by anything else. A whole team is slower to come by a quiet moment, and no more telling.
std::int64_t calibrate() {
  std::int64_t iterations = 1000;
  for (int pass = 0; pass < 2; ++pass) {
    std::int64_t quickest = std::numeric_limits<std::int64_t>::max();
    for (int i = 0; i < 12; ++i) quickest = std::min(quickest, run_burst(1, iterations).elapsed_ns);
    const double scale = static_cast<double>(kTargetNs) / static_cast<double>(quickest);
    iterations = std::clamp<std::int64_t>(std::llround(static_cast<double>(iterations) * scale),
                                          100, 1'000'000);
  }
  return iterations;
}

}  // namespace

Probe::Probe(int threads) : threads_(std::max(threads, 1)), iterations_(calibrate()) {}

double Probe::burst() const {
  const Burst burst = run_burst(threads_, iterations_);
  const double flops = arithmetic().flops_per_iteration * static_cast<double>(iterations_) *
                       static_cast<double>(burst.threads);
  return flops / (static_cast<double>(burst.elapsed_ns) * 1e-9);
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
