#include "harness/run_roofs.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/cpu/gemm_candidates.hpp"
#include "harness/interrupt.hpp"
#include "profilers/disturbance.hpp"
#include "profilers/or_null.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

// Short, as every sweep pays for them, and long enough that some bursts of 0.1 ms (peak) and 0.3 ms
// (memory) find the machine quiet.
constexpr std::int64_t kPeakNs = 20'000'000;
constexpr std::int64_t kRefreshNs = 3'000'000;
constexpr std::int64_t kMemoryNs = 60'000'000;
/// As `machine`: of twice the last-level cache (32 MiB, Zen 4) a third too much was still read from
/// it, 45 GB/s instead of 33.
constexpr int kTimesCache = 4;

bool has_roofs(const Point& point) {
  return point.backend == "cpu";
}

int threads_of(const Point& point) {
  return point.threads * point.instances;
}

/// The dtypes whose loops bound a point: f32 may be multiplied as three bf16 parts.
std::vector<std::string> loops_for(const Point& point) {
  std::vector<std::string> dtypes{std::string(to_string(point.dtype))};
  if (point.dtype == DType::f32) {
    dtypes.emplace_back("bf16");
  }
  return dtypes;
}

/// What disturbs a measurement of 60 ms has often gone at the next.
constexpr int kTries = 3;

void warn_if_disturbed(const Roofs& roofs, const MachineStore::Warn& warn) {
  if (!roofs.disturbed.empty()) {
    warn(
        fmt::format("the roofs of this machine may be too low, it was disturbed while they were "
                    "measured ({}); when it is quiet, `deformer-bench machine --fresh --threads "
                    "{}` measures them again",
                    fmt::join(roofs.disturbed, "; "), roofs.threads));
  }
}

}  // namespace

MachineStore roofs_store(const Machine& machine, const std::string& build, int threads,
                         MachineStore::Warn warn) {
  MachineStore::Identity identity = deciding_fields(machine);
  identity.emplace_back("build", build);
  identity.emplace_back("threads", std::to_string(threads));
  return {machine_store_folder(), std::move(identity), std::move(warn)};
}

std::optional<StoredRoofs> load_roofs(const MachineStore& store, const MachineStore::Warn& warn) {
  const auto stored = store.load(kRoofsName);
  if (!stored) {
    return std::nullopt;
  }
  auto roofs = roofs_from_json(stored->value);
  if (!roofs) {
    warn(store.file_of(kRoofsName).string() +
         ": expected measured roofs, found something else; it is not used, and `deformer-bench "
         "machine --fresh` replaces it");
    return std::nullopt;
  }
  return StoredRoofs{std::move(*roofs), stored->saved};
}

TeamRoofs team_roofs(const Machine& machine, const std::string& build, int threads, bool fresh,
                     const MachineStore::Warn& warn,
                     const std::function<void(const std::string&)>& progress) {
  const MachineStore store = roofs_store(machine, build, threads, warn);
  auto stored = load_roofs(store, warn);
  if (stored && !fresh) {
    warn_if_disturbed(stored->roofs, warn);
    return {std::move(stored->roofs), std::move(stored->saved)};
  }
  Roofs roofs =
      measure_roofs(machine, threads, gemm_candidates(), progress, [] { return !interrupted(); });
  if (interrupted()) {
    return {std::move(roofs), ""};
  }
  if (stored && !(roofs.disturbed.empty() && stored->roofs.disturbed.empty())) {
    raise(roofs, stored->roofs);
  }
  restart_rss_peak();
  store.save(kRoofsName, to_json(roofs));
  warn_if_disturbed(roofs, warn);
  return {std::move(roofs), ""};
}

std::int64_t bytes_from_memory(const PlanCost& cost, std::int64_t last_level_cache_bytes,
                               std::int64_t pool_bytes) {
  std::map<std::int64_t, std::int64_t> layers;  // each once
  std::int64_t weights = 0;
  for (const PhaseCost& phase : cost.phases) {
    for (std::size_t i = 0; i < phase.layers.size(); ++i) {
      layers[phase.phase.first_layer + static_cast<std::int64_t>(i)] =
          phase.layers[i].bytes_weights;
    }
    weights += phase.layers.empty() ? phase.total.bytes_weights : 0;
  }
  for (const auto& [layer, bytes] : layers) {
    weights += bytes;
  }
  const std::int64_t passages = pool_bytes > last_level_cache_bytes ? cost.cache_bytes_batch : 0;
  return std::max<std::int64_t>(weights - last_level_cache_bytes, 0) + passages;
}

RunRoofs::RunRoofs(const Machine& machine, std::string build, bool on, MachineStore::Warn warn)
    : machine_(machine), build_(std::move(build)), on_(on), warn_(std::move(warn)) {}

void RunRoofs::add_peak(Team& team, int threads, const std::string& dtype) {
  if (!team.peaks.contains(dtype)) {
    team.peaks[dtype] = measure_peak(dtype, threads, kPeakNs);
  }
}

void RunRoofs::add_team(Team& team, int threads) {
  team.stored = load_roofs(roofs_store(machine_, build_, threads, warn_), warn_);
  team.memory = measure_memory(machine_, threads, kTimesCache, kMemoryNs, kTries);
  const double running = team.memory.running;
  if (team.memory.missing.empty() && running < kRunningAll) {
    team.disturbed = fmt::format(
        "while memory was measured, {} times, its {} threads ran {:.0f} % of the time at most: "
        "its bandwidth may be too low",
        kTries, threads, 100 * running);
  }
}

void RunRoofs::measure(const std::vector<const Point*>& points) {
  if (!on_) {
    return;
  }
  for (const Point* point : points) {
    if (!has_roofs(*point)) {
      continue;
    }
    const int threads = threads_of(*point);
    const auto [at, is_new] = teams_.try_emplace(threads);
    Team& team = at->second;
    if (is_new) {
      add_team(team, threads);
    }
    for (const std::string& dtype : loops_for(*point)) {
      add_peak(team, threads, dtype);
    }
  }
  restart_rss_peak();  // what was read to measure memory is no forward's
}

void RunRoofs::refresh(const Point& point) {
  const auto team = teams_.find(threads_of(point));
  if (!has_roofs(point) || team == teams_.end()) {
    return;
  }
  for (const std::string& dtype : loops_for(point)) {
    const auto peak = team->second.peaks.find(dtype);
    if (peak != team->second.peaks.end() && peak->second.missing.empty()) {
      const ArithmeticRoof now = measure_peak(dtype, team->first, kRefreshNs);
      peak->second.best_gflops = std::max(peak->second.best_gflops, now.best_gflops);
    }
  }
}

void RunRoofs::saw_f32(int threads, double flops_per_s) {
  const auto team = teams_.find(threads);
  if (team == teams_.end()) {
    return;
  }
  const auto peak = team->second.peaks.find("f32");
  if (peak != team->second.peaks.end()) {
    peak->second.best_gflops = std::max(peak->second.best_gflops, flops_per_s * 1e-9);
  }
}

std::vector<ArithmeticRoof> RunRoofs::Team::arithmetic() const {
  std::vector<ArithmeticRoof> roofs;
  for (const auto& [dtype, peak] : peaks) {
    roofs.push_back(peak);
  }
  // f32 first, as everywhere.
  std::ranges::stable_partition(roofs, [](const auto& roof) { return roof.dtype == "f32"; });
  const auto bf16 = peaks.find("bf16");
  if (peaks.contains("f32") && bf16 != peaks.end()) {
    if (auto by_parts = three_part_roof(bf16->second)) {
      roofs.push_back(std::move(*by_parts));
    }
  }
  return roofs;
}

Json RunRoofs::run_json() const {
  if (teams_.empty()) {
    return nullptr;
  }
  Json teams = Json::array();
  for (const auto& [threads, team] : teams_) {
    Roofs measured;
    measured.threads = threads;
    measured.arithmetic = team.arithmetic();
    measured.bandwidth.push_back(team.memory);
    const Json json = to_json(measured);
    Json entry{{"threads", threads},
               {"arithmetic", json.at("arithmetic")},
               {"memory", json.at("bandwidth").front()},
               {"disturbed", team.disturbed.empty() ? Json(nullptr) : Json(team.disturbed)},
               {"stored", nullptr}};
    if (team.stored) {
      entry["stored"] = {{"saved", team.stored->saved}, {"roofs", to_json(team.stored->roofs)}};
    }
    teams.push_back(std::move(entry));
  }
  return {{"teams", std::move(teams)}};
}

const RunRoofs::Team* RunRoofs::team_of(const Point& point) const {
  const auto team = teams_.find(threads_of(point));
  return has_roofs(point) && team != teams_.end() ? &team->second : nullptr;
}

/// Of `machine`, with this build and team; one that was disturbed says nothing.
std::optional<double> RunRoofs::best_gemm_of(const Team& team, const Point& point) {
  if (!team.stored || point.dtype != DType::f32 || !team.stored->roofs.disturbed.empty()) {
    return std::nullopt;
  }
  const GemmRoof* best = team.stored->roofs.best_gemm();
  return best == nullptr ? std::nullopt : std::optional(best->best_gflops);
}

Json RunRoofs::achieved_json(const Point& point, const PlanCost& cost, std::int64_t pool_bytes,
                             std::optional<double> gflops) const {
  std::optional<double> peak_gflops;
  std::optional<double> fma_gflops;
  std::optional<double> best_gemm_gflops;
  std::string by;
  std::optional<Roof> roof;
  if (const Team* team = team_of(point)) {
    const std::string dtype(to_string(point.dtype));
    Roofs measured;
    measured.arithmetic = team->arithmetic();
    if (const ArithmeticRoof* peak = measured.peak(dtype)) {
      peak_gflops = peak->best_gflops;
      by = peak->by();
      fma_gflops = team->peaks.at(dtype).best_gflops;
    }
    best_gemm_gflops = best_gemm_of(*team, point);
    const bool memory_known = team->memory.missing.empty();
    roof = roof_of(
        static_cast<double>(cost.total.flops()),
        static_cast<double>(bytes_from_memory(cost, machine_.last_level_cache_bytes, pool_bytes)),
        peak_gflops, memory_known ? std::optional(team->memory.rate.read_gb_per_s) : std::nullopt);
  }
  const bool judged = roof.has_value() && gflops.has_value();
  return {{"gflops", or_null(gflops)},
          {"roof_fraction", judged ? Json(*gflops / roof->gflops) : Json(nullptr)},
          {"roof_gflops", roof ? Json(roof->gflops) : Json(nullptr)},
          {"bound", roof ? Json(roof->bandwidth ? "bandwidth" : "arithmetic") : Json(nullptr)},
          {"arithmetic_gflops", or_null(peak_gflops)},
          {"arithmetic_by", by.empty() ? Json(nullptr) : Json(by)},
          {"fma_peak_gflops", or_null(fma_gflops)},
          {"fma_fraction", gflops && fma_gflops ? Json(*gflops / *fma_gflops) : Json(nullptr)},
          {"best_gemm_gflops", or_null(best_gemm_gflops)}};
}

}  // namespace deformer
