#include "profilers/roofs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "profilers/arithmetic.hpp"

namespace deformer {
namespace {

bool is_amx(const ArithmeticRoof& roof) {
  return roof.isa.starts_with("amx");
}

template <typename Accept>
const ArithmeticRoof* best_of(const std::vector<ArithmeticRoof>& roofs, std::string_view dtype,
                              const Accept& accept) {
  const ArithmeticRoof* best = nullptr;
  for (const ArithmeticRoof& roof : roofs) {
    if (roof.dtype == dtype && roof.missing.empty() && !is_loaded(roof.isa) && accept(roof) &&
        (best == nullptr || roof.best_gflops > best->best_gflops)) {
      best = &roof;
    }
  }
  return best;
}

std::string identity(const ArithmeticRoof& roof) {
  return fmt::format("{}/{}/{}", roof.dtype, roof.isa, roof.threads);
}
std::string identity(const BandwidthRoof& roof) {
  return fmt::format("{}/{}", roof.level, roof.threads);
}
std::string identity(const GemmRoof& roof) {
  return fmt::format("{}/{}x{}x{}", roof.library, roof.shape.m, roof.shape.n, roof.shape.k);
}

template <typename Roof>
void raise_all(std::vector<Roof>& roofs, const std::vector<Roof>& others) {
  for (Roof& roof : roofs) {
    for (const Roof& other : others) {
      if (identity(roof) == identity(other)) raise(roof, other);
    }
  }
}

template <typename Roof>
void raise_rate(Roof& roof, const Roof& other) {
  if (other.missing.empty() && (!roof.missing.empty() || other.best_gflops > roof.best_gflops)) {
    roof = other;
  }
}

}  // namespace

void raise(ArithmeticRoof& roof, const ArithmeticRoof& other) {
  raise_rate(roof, other);
}

void raise(GemmRoof& roof, const GemmRoof& other) {
  raise_rate(roof, other);
}

void raise(BandwidthRoof& roof, const BandwidthRoof& other) {
  if (!other.missing.empty()) return;
  if (!roof.missing.empty()) {
    roof = other;
    return;
  }
  Bandwidth& rate = roof.rate;
  if (other.rate.read_gb_per_s > rate.read_gb_per_s) {
    rate.read_gb_per_s = other.rate.read_gb_per_s;
    rate.read_median_gb_per_s = other.rate.read_median_gb_per_s;
  }
  if (other.rate.copy_gb_per_s > rate.copy_gb_per_s) {
    rate.copy_gb_per_s = other.rate.copy_gb_per_s;
    rate.copy_median_gb_per_s = other.rate.copy_median_gb_per_s;
  }
}

void raise(Roofs& roofs, const Roofs& other) {
  raise_all(roofs.arithmetic, other.arithmetic);
  raise_all(roofs.bandwidth, other.bandwidth);
  raise_all(roofs.gemm, other.gemm);
  if (other.team.region.median_ns < roofs.team.region.median_ns) roofs.team = other.team;
  if (other.disturbed.empty()) roofs.disturbed.clear();
}

std::optional<ArithmeticRoof> three_part_roof(const ArithmeticRoof& bf16) {
  if (bf16.dtype != "bf16" || !is_amx(bf16) || is_loaded(bf16.isa) || !bf16.missing.empty()) {
    return std::nullopt;
  }
  return ArithmeticRoof{.dtype = "f32",
                        .isa = bf16.isa,
                        .instruction = fmt::format("{} of {} for 1 product of three bf16 parts",
                                                   kThreePartProducts, bf16.instruction),
                        .threads = bf16.threads,
                        .best_gflops = bf16.best_gflops / kThreePartProducts,
                        .median_gflops = bf16.median_gflops / kThreePartProducts,
                        .missing = ""};
}

std::string ArithmeticRoof::by() const {
  if (!missing.empty()) return {};
  if (dtype != "f32") return isa;
  return is_amx(*this) ? fmt::format("AMX, three bf16 parts: AMX bf16 / {}", kThreePartProducts)
                       : "FMA";
}

const ArithmeticRoof* Roofs::peak(std::string_view dtype) const {
  return best_of(arithmetic, dtype, [](const ArithmeticRoof&) { return true; });
}

const ArithmeticRoof* Roofs::vector_peak(std::string_view dtype) const {
  return best_of(arithmetic, dtype, [](const ArithmeticRoof& roof) { return !is_amx(roof); });
}

std::optional<double> Roofs::peak_gflops(std::string_view dtype) const {
  const ArithmeticRoof* best = peak(dtype);
  return best == nullptr ? std::nullopt : std::optional(best->best_gflops);
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
