#include "profilers/roofs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>

#include "profilers/arithmetic.hpp"
#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"
#include "profilers/team.hpp"

namespace deformer {
namespace {

// The whole should take seconds: 5 loops x 60 ms, 5 levels x 250 ms, 4 libraries x 4 shapes x 200
// ms, the team 100 ms; about 5 s.
constexpr std::int64_t kLoopNs = 60'000'000;
constexpr std::int64_t kLevelNs = 250'000'000;
constexpr std::int64_t kGemmNs = 200'000'000;
constexpr std::int64_t kTeamNs = 100'000'000;

/// Long against lining up a team (about a microsecond) and short against a time slice (1 to 4 ms),
/// so that most bursts run undisturbed even beside somebody else.
constexpr std::int64_t kArithmeticBurstNs = 100'000;
constexpr std::int64_t kCacheBurstNs = 300'000;
/// A peak is believed when this many bursts came within 1 % of the best, ...
constexpr std::ptrdiff_t kFewestNearBest = 8;
constexpr double kNearBest = 0.99;
/// ... or when this many times the planned time is over.
constexpr std::int64_t kPatience = 5;
constexpr std::size_t kFewestGemmRuns = 3;

/// A level is measured with half of what it holds: all of it would miss now and then.
constexpr std::int64_t kLevelShare = 2;
/// Far enough above the last-level cache that what it keeps from pass to pass doesn't matter.
constexpr int kMemoryTimesCache = 4;
constexpr std::int64_t kSmallestMemorySetBytes = std::int64_t{64} << 20;

/// Products of BERT-base at batch 8 x 320 tokens (FFN in and out), a square one, and FFN in for one
/// sequence.
constexpr GemmShape kGemmShapes[] = {
    {2560, 3072, 768}, {2560, 768, 3072}, {1024, 1024, 1024}, {320, 3072, 768}};

constexpr const char* kStopped = "interrupted";

ArithmeticRoof measure_loop(const ArithmeticLoop& loop, int threads, std::int64_t limit_ns) {
  ArithmeticRoof roof{loop.dtype, loop.isa, loop.instruction, threads, 0, 0, ""};
  const std::int64_t iterations = iterations_lasting(loop, kArithmeticBurstNs);
  std::vector<double> rates;
  settle_team(threads);
  const std::int64_t begin_ns = now_ns();
  const auto believed = [&] {
    const double near = kNearBest * roof.best_gflops;
    return std::ranges::count_if(rates, [near](double rate) { return rate >= near; }) >=
           kFewestNearBest;
  };
  for (std::int64_t spent_ns = 0;
       spent_ns < limit_ns || (!believed() && spent_ns < kPatience * limit_ns);
       spent_ns = now_ns() - begin_ns) {
    rates.push_back(burst_rate(loop, threads, iterations) * 1e-9);
    roof.best_gflops = std::max(roof.best_gflops, rates.back());
  }
  roof.median_gflops = *median(rates);
  return roof;
}

BandwidthRoof measure_level(const std::string& name, int threads, std::int64_t set_bytes,
                            std::int64_t burst_ns, std::int64_t limit_ns) {
  BandwidthRoof roof{name, threads, 0, {}, ""};
  try {
    StreamBuffers buffers(threads, set_bytes / threads);
    roof.working_set_bytes = buffers.bytes() * threads;
    roof.rate = buffers.measure(burst_ns, limit_ns);
  } catch (const std::bad_alloc&) {
    roof.missing = fmt::format("{} bytes of memory could not be had", set_bytes);
  }
  return roof;
}

BandwidthRoof measure_cache(const CacheLevel& cache, int threads) {
  // As many caches as there are, or as the threads can reach if each goes to another one.
  const std::int64_t caches = std::min(cache.count, threads);
  return measure_level(fmt::format("L{}", cache.level), threads,
                       cache.size_bytes / kLevelShare * caches, kCacheBurstNs, kLevelNs);
}

/// Small numbers without a pattern that would hide a transposed or skipped block.
std::vector<float> numbers(std::int64_t count, unsigned seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(seed >> 16) / 65536.0F - 0.5F;
  }
  return values;
}

/// A few elements against float64; rounding of k products of up to 1/4 stays far below 1e-3.
bool product_is_right(const GemmShape& shape, const std::vector<float>& a,
                      const std::vector<float>& w, const std::vector<float>& c) {
  constexpr double kTolerance = 1e-3;
  for (int i = 0; i < 16; ++i) {
    const auto row = static_cast<std::size_t>(i * (shape.m - 1) / 15);
    const auto column = static_cast<std::size_t>((i * 7 % 16) * (shape.n - 1) / 15);
    const auto k = static_cast<std::size_t>(shape.k);
    double sum = 0;
    for (std::size_t j = 0; j < k; ++j) {
      sum += static_cast<double>(a[row * k + j]) * static_cast<double>(w[column * k + j]);
    }
    const double found = c[row * static_cast<std::size_t>(shape.n) + column];
    if (!(std::abs(found - sum) <= kTolerance)) return false;  // NaN is wrong too
  }
  return true;
}

void time_product(const std::function<void()>& run, const GemmShape& shape, std::int64_t limit_ns,
                  GemmRoof& roof) {
  const double flops = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                       static_cast<double>(shape.k);
  std::vector<double> rates;
  const std::int64_t begin_ns = now_ns();
  while (rates.size() < kFewestGemmRuns || now_ns() - begin_ns < limit_ns) {
    const std::int64_t start_ns = now_ns();
    run();
    rates.push_back(flops / static_cast<double>(std::max<std::int64_t>(now_ns() - start_ns, 1)));
  }
  roof.best_gflops = std::ranges::max(rates);
  roof.median_gflops = *median(rates);
}

std::int64_t gemm_bytes(const GemmShape& shape) {
  // a, w, c, and w packed
  return 4 * (shape.m * shape.k + 2 * shape.n * shape.k + shape.m * shape.n);
}

/// Runs the steps of measure_roofs as long as it may.
class Steps {
 public:
  Steps(const std::function<void(const std::string&)>& progress,
        const std::function<bool()>& keep_on)
      : progress_(progress), keep_on_(keep_on) {}

  /// `measure()`, or `left_out` with the reason.
  template <typename Result, typename Measure>
  Result step(const std::string& what, Result left_out, const Measure& measure) const {
    if (!keep_on_()) {
      left_out.missing = kStopped;
      return left_out;
    }
    progress_(what);
    return measure();
  }
  bool keeps_on() const { return keep_on_(); }

 private:
  const std::function<void(const std::string&)>& progress_;
  const std::function<bool()>& keep_on_;
};

void measure_arithmetic(const Steps& steps, int threads, Roofs& roofs) {
  for (const ArithmeticLoop& loop : arithmetic_loops()) {
    roofs.arithmetic.push_back(
        steps.step(fmt::format("arithmetic: {} {}", loop.dtype, loop.isa),
                   ArithmeticRoof{loop.dtype, loop.isa, loop.instruction, threads, 0, 0, ""},
                   [&] { return measure_loop(loop, threads, kLoopNs); }));
  }
  for (const char* dtype : {"f32", "bf16", "int8"}) {
    if (widest_loop(dtype) == nullptr) {
      roofs.arithmetic.push_back({dtype, "", "", threads, 0, 0, why_no_loop(dtype)});
    }
  }
}

void measure_bandwidths(const Steps& steps, const Machine& machine, int threads, Roofs& roofs) {
  for (const CacheLevel& cache : machine.caches) {
    const std::string name = fmt::format("L{}", cache.level);
    roofs.bandwidth.push_back(steps.step("bandwidth: " + name,
                                         BandwidthRoof{name, threads, 0, {}, ""},
                                         [&] { return measure_cache(cache, threads); }));
  }
  std::vector<int> teams = {threads};
  if (threads > 1) teams.push_back(1);
  for (const int team : teams) {
    roofs.bandwidth.push_back(
        steps.step(fmt::format("bandwidth: memory, {} threads", team),
                   BandwidthRoof{"memory", team, 0, {}, ""},
                   [&] { return measure_memory(machine, team, kMemoryTimesCache, 2 * kLevelNs); }));
  }
}

void measure_gemms(const Steps& steps, const std::vector<GemmCandidate>& candidates, int threads,
                   Roofs& roofs) {
  for (const GemmShape& shape : kGemmShapes) {
    for (const GemmCandidate& candidate : candidates) {
      roofs.gemm.push_back(
          steps.step(fmt::format("GEMM {}x{}x{}: {}", shape.m, shape.n, shape.k, candidate.library),
                     GemmRoof{candidate.library, shape, 0, 0, ""},
                     [&] { return measure_gemm(candidate, shape, threads, kGemmNs); }));
    }
  }
}

}  // namespace

ArithmeticRoof measure_peak(std::string_view dtype, int threads, std::int64_t limit_ns) {
  const ArithmeticLoop* loop = widest_loop(dtype);
  if (loop == nullptr) return {std::string(dtype), "", "", threads, 0, 0, why_no_loop(dtype)};
  return measure_loop(*loop, threads, limit_ns);
}

BandwidthRoof measure_memory(const Machine& machine, int threads, int times_cache,
                             std::int64_t limit_ns) {
  const std::int64_t wanted =
      std::max(times_cache * machine.last_level_cache_bytes, kSmallestMemorySetBytes);
  const std::int64_t most = available_memory_bytes() / 4;
  if (most < wanted && most < 2 * machine.last_level_cache_bytes) {
    return {
        "memory",
        threads,
        0,
        {},
        fmt::format("expected {} bytes to read, far more than the last-level cache holds, found "
                    "{} that may be taken (a quarter of what is available)",
                    wanted, most)};
  }
  return measure_level("memory", threads, std::min(wanted, most), kCacheBurstNs, limit_ns);
}

GemmRoof measure_gemm(const GemmCandidate& candidate, const GemmShape& shape, int threads,
                      std::int64_t limit_ns) {
  GemmRoof roof{candidate.library, shape, 0, 0, ""};
  const std::int64_t bytes = gemm_bytes(shape);
  if (bytes > available_memory_bytes() / 4) {
    roof.missing = fmt::format("its {} bytes are more than a quarter of available memory", bytes);
    return roof;
  }
  try {
    const std::vector<float> a = numbers(shape.m * shape.k, 1);
    const std::vector<float> w = numbers(shape.n * shape.k, 2);
    std::vector<float> c(static_cast<std::size_t>(shape.m * shape.n), NAN);
    const std::function<void()> run =
        candidate.prepare(shape, threads, a.data(), w.data(), c.data());
    run();
    if (!product_is_right(shape, a, w, c)) {
      roof.missing = "its product is wrong";
      return roof;
    }
    time_product(run, shape, limit_ns, roof);
  } catch (const std::exception& error) {
    roof.missing = error.what();
  }
  return roof;
}

Roofs measure_roofs(const Machine& machine, int threads,
                    const std::vector<GemmCandidate>& candidates,
                    const std::function<void(const std::string&)>& progress,
                    const std::function<bool()>& keep_on) {
  Roofs roofs;
  roofs.threads = std::max(threads, 1);
  const Steps steps(progress, keep_on);
  measure_arithmetic(steps, roofs.threads, roofs);
  measure_bandwidths(steps, machine, roofs.threads, roofs);
  measure_gemms(steps, candidates, roofs.threads, roofs);
  if (steps.keeps_on()) {
    progress("thread team");
    roofs.team = measure_team_cost(roofs.threads, machine.logical_cpus, kTeamNs);
  }
  return roofs;
}

std::optional<double> Roofs::peak_gflops(std::string_view dtype) const {
  std::optional<double> peak;
  for (const ArithmeticRoof& roof : arithmetic) {
    if (roof.dtype == dtype && roof.missing.empty()) {
      peak = std::max(peak.value_or(0), roof.best_gflops);
    }
  }
  return peak;
}

std::optional<double> Roofs::memory_read_gb_per_s() const {
  for (const BandwidthRoof& roof : bandwidth) {
    if (roof.level == "memory" && roof.threads == threads && roof.missing.empty()) {
      return roof.rate.read_gb_per_s;
    }
  }
  return std::nullopt;
}

const GemmRoof* Roofs::best_gemm() const {
  const GemmRoof* best = nullptr;
  for (const GemmRoof& roof : gemm) {
    const bool better = best == nullptr || roof.best_gflops > best->best_gflops;
    if (roof.missing.empty() && better) best = &roof;
  }
  return best;
}

std::optional<Roof> roof_of(double flops, double memory_bytes, std::optional<double> peak_gflops,
                            std::optional<double> memory_gb_per_s) {
  if (!(flops > 0) || !peak_gflops || !(*peak_gflops > 0)) return std::nullopt;
  if (!(memory_bytes > 0) || !memory_gb_per_s || !(*memory_gb_per_s > 0)) {
    return Roof{*peak_gflops, false};
  }
  const double limit_gflops = flops / memory_bytes * *memory_gb_per_s;
  return limit_gflops < *peak_gflops ? Roof{limit_gflops, true} : Roof{*peak_gflops, false};
}

}  // namespace deformer
