#pragma once
/// The roofs of one run: what is measured in it, what the machine's store remembers, and where a
/// point stands under them.
///
/// The arithmetic peak and the bandwidth of memory are measured in the run itself, with the threads
/// of its points; GEMM, caches and the thread team come from `deformer-bench machine`, if it has
/// been run with this build.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/cost.hpp"
#include "profilers/machine_store.hpp"
#include "profilers/roofs.hpp"
#include "workloads/point.hpp"

namespace deformer {

/// Where `deformer-bench machine` leaves the roofs of a team and a sweep looks for them.
MachineStore roofs_store(const Machine& machine, const std::string& build, int threads,
                         MachineStore::Warn warn);
inline constexpr const char* kRoofsName = "roofs";

/// Disturbed ones (Roofs::disturbed) are kept too, until an undisturbed measurement replaces them:
/// as figures that may be too low, which nothing is held against.
struct StoredRoofs {
  Roofs roofs;
  std::string saved;
};

/// nullopt when there are none, or (after a warning) when they are not what this build writes.
std::optional<StoredRoofs> load_roofs(const MachineStore& store, const MachineStore::Warn& warn);

/// Everything `deformer-bench machine` measures, from the store, or measured now and left there.
/// Only `fresh` measures again what is stored: on a machine that is never quiet, each profile would
/// pay for it. Of disturbed figures `warn` is told each time. A disturbed measurement never lowers
/// what is stored, and of two disturbed ones the higher figures stay.
struct TeamRoofs {
  Roofs roofs;
  std::string saved;  ///< when the store got them; empty when they were measured now
};
TeamRoofs team_roofs(const Machine& machine, const std::string& build, int threads, bool fresh,
                     const MachineStore::Warn& warn,
                     const std::function<void(const std::string&)>& progress);

/// Bytes that one forward must fetch from memory, whatever is done: a lower bound, so that the roof
/// made of it is an upper one.
///
///     max(0, weights - cache) + stored passages, if their pool is larger than the cache
///
/// `weights`: every layer that the plan runs once (question and passage can share a layer's
/// weights while they are in a cache), the rows of the embedding tables that are looked up, the
/// head. Of these the last-level cache can hold no more than its size from one forward to the next.
/// Activations can stay in caches and are not counted.
std::int64_t bytes_from_memory(const PlanCost& cost, std::int64_t last_level_cache_bytes,
                               std::int64_t pool_bytes);

class RunRoofs {
 public:
  /// `on` false: nothing is measured or loaded, and everything is null.
  RunRoofs(const Machine& machine, std::string build, bool on, MachineStore::Warn warn);

  /// Measures what these points need and is not there yet: about 100 ms for each number of threads,
  /// three times that where something holds the threads up. Only points of the cpu backend have
  /// roofs.
  void measure(const std::vector<const Point*>& points);

  /// A few short bursts of the peak, so that a machine disturbed at the start does not make it too
  /// low for the whole run: to be called now and then, outside the timed regions.
  void refresh(const Point& point);

  /// A rate of the f32 loop that was seen elsewhere, with so many threads. Raises the peak only.
  void saw_f32(int threads, double flops_per_s);

  /// The `roofs` of a run line; null when off or nothing has roofs.
  nlohmann::ordered_json run_json() const;

  /// {"gflops":...,"roof_fraction":...,"roof_gflops":...,"bound":"arithmetic"|"bandwidth",
  /// "arithmetic_gflops":...,"arithmetic_by":...,"fma_peak_gflops":...,"fma_fraction":...,
  /// "best_gemm_gflops":...}: roof_fraction = gflops / min(arithmetic peak of the dtype at threads
  /// x instances, intensity x measured bandwidth), see roof_of and bytes_from_memory.
  ///
  /// `arithmetic_gflops` is that peak and `arithmetic_by` how it is reached (ArithmeticRoof::by):
  /// of f32 on a machine with AMX the higher of its multiply-adds and of AMX's bf16 products over
  /// six, whichever of them served the point. `fma_peak_gflops` is the peak of f32's multiply-adds
  /// (of another dtype: of the widest instructions it has), and fma_fraction = gflops /
  /// fma_peak_gflops, which is above 1 where AMX served. What is not known is null.
  nlohmann::ordered_json achieved_json(const Point& point, const PlanCost& cost,
                                       std::int64_t pool_bytes, std::optional<double> gflops) const;

 private:
  struct Team {
    std::map<std::string, ArithmeticRoof> peaks;  ///< by dtype, of its widest loop
    BandwidthRoof memory;
    std::string disturbed;  ///< what held the threads up; empty when nothing did

    std::vector<ArithmeticRoof> arithmetic() const;  ///< the peaks, and f32's by three bf16 parts
    std::optional<StoredRoofs> stored;
  };
  void add_peak(Team& team, int threads, const std::string& dtype);
  void add_team(Team& team, int threads);
  const Team* team_of(const Point& point) const;
  static std::optional<double> best_gemm_of(const Team& team, const Point& point);

  Machine machine_;
  std::string build_;
  bool on_;
  MachineStore::Warn warn_;
  std::map<int, Team> teams_;  ///< by threads of all instances together
};

}  // namespace deformer
