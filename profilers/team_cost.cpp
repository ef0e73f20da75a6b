#include "profilers/team_cost.hpp"

#include <sched.h>

#include <atomic>
#include <vector>

#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

constexpr std::size_t kMostSamples = 4000;
constexpr std::size_t kFewestSamples = 10;
/// Reading the clock costs 20 to 30 ns, a barrier of two threads about 100: several share a sample.
constexpr int kBarriersASample = 8;
/// Far above any barrier that only waits for other processors; then somebody needs this one.
constexpr int kSpinsBeforeYield = 20'000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

class SpinBarrier {
 public:
  explicit SpinBarrier(int threads) : threads_(threads) {}
  void wait() {
    const unsigned generation = generation_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      generation_.store(generation + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
      if (spins < kSpinsBeforeYield) {
        relax();
      } else {
        sched_yield();
      }
    }
  }

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> generation_{0};
};

Percentiles summary_of(const std::vector<double>& samples_ns) {
  return {median(samples_ns).value_or(0), percentile(samples_ns, 0.99)};
}

Percentiles measure_region(int threads, std::int64_t limit_ns) {
  std::vector<double> samples_ns;
  const std::int64_t begin_ns = now_ns();
  while (samples_ns.size() < kFewestSamples ||
         (samples_ns.size() < kMostSamples && now_ns() - begin_ns < limit_ns)) {
    const std::int64_t start_ns = now_ns();
#pragma omp parallel num_threads(threads)
    asm volatile("" : : : "memory");
    samples_ns.push_back(static_cast<double>(now_ns() - start_ns));
  }
  return summary_of(samples_ns);
}

/// nullopt when the team is smaller than asked for: the barrier would wait for ever.
std::optional<Percentiles> measure_barrier(int threads, std::int64_t limit_ns) {
  int team = 0;
#pragma omp parallel num_threads(threads) reduction(+ : team)
  team = 1;
  if (team != threads) return std::nullopt;
  SpinBarrier barrier(threads);
  std::vector<double> samples_ns;
  samples_ns.reserve(kMostSamples);
  std::atomic<bool> over{false};
  const std::int64_t begin_ns = now_ns();
#pragma omp parallel num_threads(threads)
  {
    bool counts = false;
#pragma omp masked
    counts = true;
    while (true) {
      const std::int64_t start_ns = now_ns();
      for (int i = 0; i < kBarriersASample; ++i) barrier.wait();
      const std::int64_t stop_ns = now_ns();
      if (counts) {
        samples_ns.push_back(static_cast<double>(stop_ns - start_ns) / kBarriersASample);
        over = samples_ns.size() >= kMostSamples || stop_ns - begin_ns > limit_ns;
      }
      barrier.wait();  // all see the same answer
      if (over) break;
    }
  }
  return summary_of(samples_ns);
}

}  // namespace

TeamCost measure_team_cost(int threads, int processors, std::int64_t limit_ns) {
  TeamCost cost;
  cost.region = measure_region(threads, limit_ns / 2);
  if (threads > 1 && threads <= processors) cost.barrier = measure_barrier(threads, limit_ns / 2);
  return cost;
}

}  // namespace deformer
