#pragma once
/// The machine's own limits, measured: what a forward pass is held against.
///
/// Noise only ever lowers a rate, so a limit is the best of many short bursts, in rounds at
/// different moments (roof_rounds.hpp); the median of the best round stands beside it and says how
/// quiet the machine was.
///
/// f32 has two arithmetic peaks. One is that of its multiply-adds (FMA). Where there is AMX, the
/// other is that of its bf16 products over six: an f32 number is exactly the sum of three bf16
/// numbers, and six of the nine products of their parts, summed in f32, are as accurate as an f32
/// multiply-add (Henry, Tang, Heinecke: Leveraging the bfloat16 Artificial Intelligence Datatype
/// For Higher-Precision Computations, ARITH 2019, arXiv:1904.06376). What holds f32 down is the
/// higher of the two, whichever of them serves a product: a roof is what the machine can do in that
/// dtype. (Both units at once could do their sum; nobody's product is made so, and it's no roof
/// here.) The peak of the multiply-adds keeps a name of its own, vector_peak.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "profilers/bandwidth.hpp"
#include "profilers/machine.hpp"
#include "profilers/team_cost.hpp"

namespace deformer {

/// One loop of profilers/arithmetic.hpp, what follows from one (three_part_roof), or a dtype that
/// has none.
struct ArithmeticRoof {
  std::string dtype;
  std::string isa, instruction;  ///< empty when `missing`
  int threads = 0;
  double best_gflops = 0, median_gflops = 0;  ///< 1e9 operations a second, all threads; int8 too
  std::string missing;                        ///< why nothing was measured; empty when it was
  double running = 1;                         ///< RunningShare of its threads (disturbance.hpp)

  /// How this peak is reached, for people: of f32 "FMA" or "AMX, three bf16 parts: AMX bf16 / 6",
  /// else the ISA. Empty when `missing`.
  std::string by() const;
};

/// bf16 products for one of f32.
inline constexpr int kThreePartProducts = 6;

/// f32's peak by three bf16 parts; nullopt unless `bf16` was measured on AMX.
std::optional<ArithmeticRoof> three_part_roof(const ArithmeticRoof& bf16);

struct BandwidthRoof {
  std::string level;  ///< "L1", "L2", "L3", "memory"
  int threads = 0;
  std::int64_t working_set_bytes = 0;  ///< of all threads together
  Bandwidth rate;
  std::string missing;
  double running = 1;  ///< RunningShare of its threads
};

/// One product c [m, n] = a [m, k] w^T, w [n, k], in f32: a linear layer's.
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
};

struct GemmRoof {
  std::string library;
  GemmShape shape;
  double best_gflops = 0, median_gflops = 0;
  std::string missing;  ///< what the library said, or that its result was wrong
};

/// Somebody who multiplies matrices. `prepare` makes a product ready on so many threads (packs w as
/// it likes) and returns what runs it once; the buffers outlive that. Both may throw
/// std::exception: the reason is reported in place of a rate.
struct GemmCandidate {
  std::string library;  ///< "oneDNN 2.6.3 matmul"
  std::function<std::function<void()>(const GemmShape& shape, int threads, const float* a,
                                      const float* w, float* c)>
      prepare;
};

struct Roofs {
  int threads = 0;
  std::vector<ArithmeticRoof> arithmetic;
  std::vector<BandwidthRoof> bandwidth;  ///< from the core outwards, then memory with one thread
  std::vector<GemmRoof> gemm;
  TeamCost team;
  int rounds = 0;  ///< how many it took
  /// Why these figures may be too low: others used the processors, or the rounds disagree. Empty
  /// when nothing was seen.
  std::vector<std::string> disturbed;

  /// The highest of a dtype, of all ways to reach it; nullptr where none was measured.
  const ArithmeticRoof* peak(std::string_view dtype) const;
  /// The highest that vector instructions reach, AMX's tiles left out.
  const ArithmeticRoof* vector_peak(std::string_view dtype) const;
  /// Nullopt where it was not measured.
  std::optional<double> peak_gflops(std::string_view dtype) const;
  std::optional<double> memory_read_gb_per_s() const;  ///< with all threads
  const GemmRoof* best_gemm() const;                   ///< nullptr when none ran
};

/// Everything: in two rounds of a few seconds on a quiet machine, in up to five beside somebody who
/// disturbs them (at most about 20 s, then it is `disturbed`). `progress` is told what comes next;
/// `keep_on` is asked between steps, and what is left out once it says no is `missing`. Never takes
/// more than a quarter of the available memory.
Roofs measure_roofs(const Machine& machine, int threads,
                    const std::vector<GemmCandidate>& candidates,
                    const std::function<void(const std::string&)>& progress,
                    const std::function<bool()>& keep_on);

/// Keeps the better of two measurements of the same thing. Of all: each figure for itself; they are
/// undisturbed if either was.
void raise(ArithmeticRoof& roof, const ArithmeticRoof& other);
void raise(BandwidthRoof& roof, const BandwidthRoof& other);
void raise(GemmRoof& roof, const GemmRoof& other);
void raise(Roofs& roofs, const Roofs& other);

// The parts of it, for who needs one alone.

/// The widest loop of a dtype, in about `limit_ns`.
ArithmeticRoof measure_peak(std::string_view dtype, int threads, std::int64_t limit_ns);

/// Memory, with a working set of `times_cache` times the last-level cache, at most a quarter of
/// what is available. Where something holds the threads up, again in the same place, `tries` times
/// at most; `running` is then that of the best try.
BandwidthRoof measure_memory(const Machine& machine, int threads, int times_cache,
                             std::int64_t limit_ns, int tries = 1);

/// One product, checked against a few elements computed in float64. The shape's buffers are made
/// here.
GemmRoof measure_gemm(const GemmCandidate& candidate, const GemmShape& shape, int threads,
                      std::int64_t limit_ns);

/// Where a forward pass would stand if nothing but physics held it up.
struct Roof {
  double gflops = 0;
  bool bandwidth = false;  ///< bandwidth is the lower of the two limits
};

/// min(peak, intensity x bandwidth), intensity = flops / memory_bytes in FLOP a byte (Williams,
/// Waterman, Patterson: Roofline, CACM 2009). Where no byte has to come from memory, or the
/// bandwidth is not known, the peak. nullopt without a positive peak and FLOPs.
std::optional<Roof> roof_of(double flops, double memory_bytes, std::optional<double> peak_gflops,
                            std::optional<double> memory_gb_per_s);

/// {"threads":2,"arithmetic":[...],"bandwidth":[...],"gemm":[...],"team":{...},"rounds":2,
/// "disturbed":[...]}; what is not known is null, with `missing` saying why.
nlohmann::ordered_json to_json(const Roofs& roofs);

/// nullopt when a field is missing, mistyped, negative or not finite.
std::optional<Roofs> roofs_from_json(const nlohmann::ordered_json& json);

}  // namespace deformer
