#include "backends/cuda/host/kernel_choice.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace deformer::cuda {
namespace {

/// Raised with every change of kernels/skinny.cuh or of CUTLASS's tiles that changes their speed,
/// or what may be chosen: what was measured before is measured again.
constexpr int kKernelsVersion = 5;

}  // namespace

std::optional<Route> unmeasured_route(bool own_kernels, bool fits) {
  if (!own_kernels) {
    return std::nullopt;
  }
  return fits ? Route::skinny : Route::lt;
}

Algorithm remembered(const KernelChoice& choice, double time_us) {
  Algorithm known;
  known.time_us = time_us;
  known.bytes[0] = static_cast<std::byte>(choice.route);
  std::memcpy(known.bytes.data() + 1, choice.tile.data(),
              std::min(choice.tile.size(), kLongestTileName));
  return known;
}

KernelChoice choice_in(const Algorithm& known) {
  std::string tile(known.bytes.size() - 1, '\0');
  std::memcpy(tile.data(), known.bytes.data() + 1, tile.size());
  return {static_cast<Route>(known.bytes[0]), tile.substr(0, tile.find('\0'))};
}

std::string choice_bucket(const LtProblem& problem, bool few_rows) {
  return fmt::format("{} {}: {}", few_rows ? "few rows" : "kernels", kKernelsVersion,
                     bucket_name(problem));
}

}  // namespace deformer::cuda
