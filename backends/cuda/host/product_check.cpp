#include "backends/cuda/host/product_check.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace deformer::cuda {
namespace {

/// The most by which rounding changes a number, as a part of it.
double half_step(Element element) {
  switch (element) {
    case Element::bf16:
      return 1.0 / 256;  // 8 bits of mantissa, the first of which is not stored
    case Element::f16:
      return 1.0 / 2048;
    case Element::e4m3:
      return 1.0 / 16;
    case Element::f32:
      break;
  }
  return 1.0 / (1 << 16);  // the sums themselves
}

/// Roundings between two results, twice over. Each rounds once at its end; where activation and
/// product are two kernels, what lies between is rounded as well and GELU makes up to 1.13 times as
/// much of it; cuBLASLt may round parts of a sum. Of a sum that cancels, what is rounded on the way
/// is as large as other results are: so nothing is asked to be closer than their root mean square
/// allows. One left-out tile of 64 of 3072 ins changes results by a seventh of that, 4 times what
/// this allows bf16.
constexpr double kRoundings = 8;

}  // namespace

CheckedRows checked_rows(std::int64_t rows, std::int64_t width) {
  constexpr std::int64_t kElements = std::int64_t{1} << 20;
  const std::int64_t most = std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, width));
  const std::int64_t step = std::max<std::int64_t>(1, (rows + most - 1) / most);
  const std::int64_t first = rows > 0 ? (rows - 1) % step : 0;
  return {first, step, rows > 0 ? (rows - 1 - first) / step + 1 : 0};
}

std::optional<std::string> difference(Element element, std::span<const float> expected,
                                      std::span<const float> found) {
  if (expected.size() != found.size() || expected.empty()) {
    return fmt::format("{} results, expected {}", found.size(), expected.size());
  }
  double squares = 0;
  for (const float value : expected) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const double usual = std::sqrt(squares / static_cast<double>(expected.size()));
  std::size_t wrong = 0;
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double one = std::abs(static_cast<double>(expected[i]));
    const double apart = std::abs(static_cast<double>(expected[i]) - static_cast<double>(found[i]));
    if (!(apart <=
          kRoundings * half_step(element) * std::max(one, usual))) {  // nor where it is NaN
      ++wrong;
      worst = std::isfinite(apart) ? std::max(worst, apart) : apart;
    }
  }
  return wrong == 0 ? std::nullopt
                    : std::optional(fmt::format(
                          "differs from cuBLASLt's result in {} of {} numbers, by up to {:.3g} "
                          "where their root mean square is {:.3g}",
                          wrong, expected.size(), worst, usual));
}

}  // namespace deformer::cuda
