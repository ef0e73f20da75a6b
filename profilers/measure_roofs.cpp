// The measuring of roofs. What they are and what follows from them: roofs.cpp.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "profilers/arithmetic.hpp"
#include "profilers/clock.hpp"
#include "profilers/roof_rounds.hpp"
#include "profilers/roofs.hpp"
#include "profilers/statistics.hpp"
#include "profilers/team.hpp"

namespace deformer {
namespace {

// A round takes about 6 s here: 8 loops x 30 ms, 5 levels x 125 ms, 5 libraries x 4 shapes x 60 ms,
// the team 50 ms, and what it takes to get ready, mostly to fill 4 times the last-level cache. Two
// are the least.
constexpr std::int64_t kLoopNs = 30'000'000;
constexpr std::int64_t kLevelNs = 125'000'000;
constexpr std::int64_t kGemmNs = 60'000'000;
constexpr std::int64_t kTeamNs = 50'000'000;
constexpr int kMostRounds = 5;
/// No third round starts later: two take 10 to 13 s alone, and beside somebody else, who may never
/// go, up to twice as long, which is what a CI pays.
constexpr std::int64_t kRoundsLimitNs = 16'000'000'000;

// Between two undisturbed rounds (2-core Sapphire Rapids under KVM) the best burst of a loop moved
// by 1 %, at times by 3 % with the clock, ...
constexpr double kLoopsAgree = 0.96;
/// ... that of loaded tiles, for which power decides, by 9 %, ...
constexpr double kLoadedLoopsAgree = 0.88;
/// ... that of a cache or of memory, which a guest shares with others, and a GEMM's, which comes
/// from both, by up to 10 %, ...
constexpr double kLevelsAgree = 0.88;
constexpr double kGemmsAgree = 0.88;
/// ... and a team's median by 10 %.
constexpr double kTeamsAgree = 0.8;

/// Long against lining up a team (about a microsecond) and short against a time slice (1 to 4 ms),
/// so that most bursts run undisturbed even beside somebody else.
constexpr std::int64_t kArithmeticBurstNs = 100'000;
constexpr std::int64_t kCacheBurstNs = 300'000;
/// A peak is believed when this many bursts came within 1 % of the best, ...
constexpr std::ptrdiff_t kFewestNearBest = 8;
constexpr double kNearBest = 0.99;
/// ... or when this many times the planned time is over.
constexpr std::int64_t kPatience = 5;

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
  const RunningShare running(threads);
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
  roof.running = running.so_far();
  roof.median_gflops = *median(rates);
  return roof;
}

BandwidthRoof measure_level(const std::string& name, int threads, std::int64_t set_bytes,
                            std::int64_t burst_ns, std::int64_t limit_ns, int tries = 1) {
  BandwidthRoof roof{name, threads, 0, {}, ""};
  try {
    StreamBuffers buffers(threads, set_bytes / threads);
    roof.working_set_bytes = buffers.bytes() * threads;
    for (int i = 0; i < tries && (i == 0 || roof.running < kRunningAll); ++i) {
      BandwidthRoof again = roof;
      const RunningShare running(threads);
      again.rate = buffers.measure(burst_ns, limit_ns);
      again.running = i == 0 ? running.so_far() : std::max(running.so_far(), roof.running);
      roof.running = again.running;
      raise(roof, again);
    }
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

Trial trial_of(const ArithmeticRoof& roof) {
  return roof.missing.empty() ? Trial{{roof.best_gflops}, roof.running} : Trial{};
}
Trial trial_of(const BandwidthRoof& roof) {
  const Bandwidth& rate = roof.rate;
  return roof.missing.empty() ? Trial{{rate.read_gb_per_s, rate.copy_gb_per_s}, roof.running}
                              : Trial{};
}
/// Libraries' threads may sleep while they wait: how long they ran says nothing.
Trial trial_of(const GemmRoof& roof) {
  return roof.missing.empty() ? Trial{{roof.best_gflops}} : Trial{};
}

/// A figure that keeps its best in a new element of `roofs`, until then `unknown`: interrupted.
template <typename Roof>
Figure figure_of(std::string what, double agreement, std::vector<Roof>& roofs, Roof unknown,
                 std::function<Roof()> measure) {
  unknown.missing = kStopped;
  roofs.push_back(std::move(unknown));
  return {std::move(what), agreement,
          [&roofs, at = roofs.size() - 1, measure = std::move(measure)] {
            const Roof now = measure();
            Roof& kept = roofs[at];
            if (kept.missing == kStopped) {
              kept = now;
            } else {
              raise(kept, now);
            }
            return trial_of(now);
          }};
}

void add_arithmetic(std::vector<Figure>& figures, Roofs& roofs) {
  const int threads = roofs.threads;
  for (const ArithmeticLoop& loop : arithmetic_loops()) {
    figures.push_back(figure_of<ArithmeticRoof>(
        fmt::format("arithmetic: {} {}", loop.dtype, loop.isa),
        is_loaded(loop.isa) ? kLoadedLoopsAgree : kLoopsAgree, roofs.arithmetic,
        {loop.dtype, loop.isa, loop.instruction, threads, 0, 0, ""},
        [&loop, threads] { return measure_loop(loop, threads, kLoopNs); }));
  }
}

/// What no loop measures: f32 by parts, and types without instructions.
void derive_arithmetic(Roofs& roofs) {
  std::vector<ArithmeticRoof> derived;
  for (const ArithmeticRoof& roof : roofs.arithmetic) {
    if (auto by_parts = three_part_roof(roof)) derived.push_back(std::move(*by_parts));
  }
  for (const char* dtype : {"f32", "bf16", "int8"}) {
    if (widest_loop(dtype) == nullptr) {
      derived.push_back({dtype, "", "", roofs.threads, 0, 0, why_no_loop(dtype)});
    }
  }
  std::ranges::move(derived, std::back_inserter(roofs.arithmetic));
}

void add_bandwidths(std::vector<Figure>& figures, const Machine& machine, Roofs& roofs) {
  const int threads = roofs.threads;
  for (const CacheLevel& cache : machine.caches) {
    const std::string name = fmt::format("L{}", cache.level);
    figures.push_back(figure_of<BandwidthRoof>(
        "bandwidth: " + name, kLevelsAgree, roofs.bandwidth, {name, threads, 0, {}, ""},
        [&cache, threads] { return measure_cache(cache, threads); }));
  }
  std::vector<int> teams = {threads};
  if (threads > 1) teams.push_back(1);
  for (const int team : teams) {
    figures.push_back(figure_of<BandwidthRoof>(
        fmt::format("bandwidth: memory, {} threads", team), kLevelsAgree, roofs.bandwidth,
        {"memory", team, 0, {}, ""}, [&machine, team] {
          return measure_memory(machine, team, kMemoryTimesCache, 2 * kLevelNs);
        }));
  }
}

void add_gemms(std::vector<Figure>& figures, const std::vector<GemmCandidate>& candidates,
               Roofs& roofs) {
  for (const GemmShape& shape : kGemmShapes) {
    for (const GemmCandidate& candidate : candidates) {
      figures.push_back(figure_of<GemmRoof>(
          fmt::format("GEMM {}x{}x{}: {}", shape.m, shape.n, shape.k, candidate.library),
          kGemmsAgree, roofs.gemm, {candidate.library, shape, 0, 0, ""},
          [&candidate, &shape, threads = roofs.threads] {
            return measure_gemm(candidate, shape, threads, kGemmNs);
          }));
    }
  }
}

Figure team_figure(const Machine& machine, Roofs& roofs) {
  return {"thread team", kTeamsAgree, [&roofs, processors = machine.logical_cpus]() -> Trial {
            const TeamCost cost = measure_team_cost(roofs.threads, processors, kTeamNs);
            double& kept_ns = roofs.team.region.median_ns;
            if (!(kept_ns > 0) || cost.region.median_ns < kept_ns) roofs.team = cost;
            return cost.region.median_ns > 0 ? Trial{{1 / cost.region.median_ns}} : Trial{};
          }};
}

}  // namespace

ArithmeticRoof measure_peak(std::string_view dtype, int threads, std::int64_t limit_ns) {
  const ArithmeticLoop* loop = widest_loop(dtype);
  if (loop == nullptr) return {std::string(dtype), "", "", threads, 0, 0, why_no_loop(dtype)};
  return measure_loop(*loop, threads, limit_ns);
}

BandwidthRoof measure_memory(const Machine& machine, int threads, int times_cache,
                             std::int64_t limit_ns, int tries) {
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
  return measure_level("memory", threads, std::min(wanted, most), kCacheBurstNs, limit_ns, tries);
}

Roofs measure_roofs(const Machine& machine, int threads,
                    const std::vector<GemmCandidate>& candidates,
                    const std::function<void(const std::string&)>& progress,
                    const std::function<bool()>& keep_on) {
  Roofs roofs;
  roofs.threads = std::max(threads, 1);
  std::vector<Figure> figures;
  add_arithmetic(figures, roofs);
  add_bandwidths(figures, machine, roofs);
  add_gemms(figures, candidates, roofs);
  figures.push_back(team_figure(machine, roofs));
  RoundsTaken taken = measure_in_rounds(
      figures, {.threads = roofs.threads, .most = kMostRounds, .limit_ns = kRoundsLimitNs},
      this_moment, progress, keep_on);
  derive_arithmetic(roofs);
  roofs.rounds = taken.rounds;
  roofs.disturbed = std::move(taken.disturbed);
  return roofs;
}

}  // namespace deformer
