/// The distance between two sets of rows, and how far apart they may be.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "backends/golden.hpp"

namespace deformer {
namespace {

constexpr ParityResult kNotFinite{std::numeric_limits<double>::infinity(), -1.0, false};

template <typename Actual, typename Expected>
double row_cosine(std::span<const Actual> a, std::span<const Expected> b) {
  double dot = 0.0;
  double aa = 0.0;
  double bb = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]);
    const auto y = static_cast<double>(b[i]);
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa == 0.0 || bb == 0.0) {
    return aa == bb ? 1.0 : 0.0;
  }
  return dot / (std::sqrt(aa) * std::sqrt(bb));
}

template <typename Actual, typename Expected>
ParityResult compare(std::span<const Actual> actual, std::span<const Expected> expected,
                     std::int64_t d) {
  const auto width = static_cast<std::size_t>(d);
  if (d < 1 || actual.size() != expected.size() || actual.size() % width != 0) {
    throw std::invalid_argument(fmt::format("compare_rows: {} values against {}, in rows of {}",
                                            actual.size(), expected.size(), d));
  }
  ParityResult result;
  for (std::size_t first = 0; first < actual.size(); first += width) {
    const auto a = actual.subspan(first, width);
    const auto b = expected.subspan(first, width);
    for (std::size_t i = 0; i < width; ++i) {
      const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      if (!std::isfinite(difference)) {
        return kNotFinite;
      }
      result.max_abs = std::max(result.max_abs, difference);
    }
    result.cosine_min = std::min(result.cosine_min, row_cosine(a, b));
  }
  return result;
}

/// f32 exact products first, 8-bit ones last: a larger rank is coarser.
int coarseness(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 0;
    case DType::bf16:
    case DType::f16:
    case DType::tf32:
      return 1;
    case DType::int8:
    case DType::fp8:
      return 2;
    case DType::bit1:
      break;
  }
  return 3;
}

}  // namespace

ParityResult compare_rows(std::span<const float> actual, std::span<const float> expected,
                          std::int64_t d) {
  return compare(actual, expected, d);
}

ParityResult compare_rows(std::span<const double> actual, std::span<const float> expected,
                          std::int64_t d) {
  return compare(actual, expected, d);
}

ParityResult compare_rows(std::span<const float> actual, std::span<const double> expected,
                          std::int64_t d) {
  return compare(actual, expected, d);
}

bool Tolerance::accepts(const ParityResult& result) const {
  if (!result.finite) {
    return false;
  }
  switch (kind) {
    case ToleranceKind::max_abs:
      return result.max_abs <= limit;
    case ToleranceKind::row_cosine:
      return result.cosine_min >= limit;
    case ToleranceKind::reported:
      return true;
  }
  return false;
}

std::string Tolerance::text() const {
  switch (kind) {
    case ToleranceKind::max_abs:
      return fmt::format("max_abs <= {:.1e}", limit);
    case ToleranceKind::row_cosine:
      return fmt::format("row cosine >= {}", limit);
    case ToleranceKind::reported:
      return "reported, not judged";
  }
  return "";
}

Tolerance tolerance_for(bool backend_is_reference, DType dtype, double largest_output,
                        DType cache_dtype) {
  const int computed = backend_is_reference ? 0 : coarseness(dtype);
  switch (std::max(computed, coarseness(cache_dtype))) {
    case 0:
      return {ToleranceKind::max_abs,
              backend_is_reference ? 2e-5 : 2e-4 * std::max(1.0, 0.1 * largest_output)};
    case 1:
      return {ToleranceKind::row_cosine, 0.999};
    case 2:
      return {ToleranceKind::row_cosine, 0.99};
    default:
      return {ToleranceKind::reported, 0.0};
  }
}

double largest_magnitude(std::span<const float> values) {
  double largest = 0.0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  return largest;
}

}  // namespace deformer
