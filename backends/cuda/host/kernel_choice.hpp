#pragma once
/// Which kernel does a product, as it is remembered beside cuBLASLt's algorithms: by its name,
/// never by its place in a list, which changes as tiles come and go.

#include <cstdint>
#include <optional>
#include <string>

#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/host/lt_problem.hpp"

namespace deformer::cuda {

/// Who does a product. The numbers are what is remembered.
enum class Route : std::uint8_t { lt = 0, cudnn = 1, skinny = 2, cutlass = 3 };

struct KernelChoice {
  Route route = Route::lt;
  std::string tile;  ///< of `cutlass`, its name

  bool operator==(const KernelChoice&) const = default;
};

/// Who does a product where nothing is to be measured (`own_kernels`, kOwnKernels in device.hpp):
/// our kernel for few rows where it `fits`, else cuBLASLt. nullopt: the quickest, by measuring.
std::optional<Route> unmeasured_route(bool own_kernels, bool fits);

/// Names of tiles may be as long as this.
inline constexpr std::size_t kLongestTileName = 62;

Algorithm remembered(const KernelChoice& choice, double time_us);
KernelChoice choice_in(const Algorithm& known);

/// Under which a choice is remembered. What was chosen among kernels of another version, or with
/// our kernel for few rows when it is not asked now, is not found. No name of it is one of
/// bucket_name's, under which cuBLASLt's own algorithms are.
std::string choice_bucket(const LtProblem& problem, bool few_rows);

}  // namespace deformer::cuda
