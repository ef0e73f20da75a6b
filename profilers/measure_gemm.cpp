// One product of a GEMM library, checked and timed.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <vector>

#include "profilers/clock.hpp"
#include "profilers/roofs.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

constexpr std::size_t kFewestGemmRuns = 3;

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

}  // namespace

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

}  // namespace deformer
