#pragma once
/// Products by CUTLASS: with bias and erf GELU as one kernel, what cuBLASLt has no epilogue for,
/// and of few rows with a bias, or onto what the result holds, because its kernels start early
/// behind the one in front of them, where cuBLASLt's wait for its end.
///
///   D [rows, out] = gelu_erf(X [rows, in] W [out, in]^T + bias)
///   D             = X W^T + bias (+ D)                            bf16, sums and GELU in f32
///
/// Each kernel is compiled for a shape of tile, for devices of compute capability 9.0 alone
/// (backends/cuda/cutlass/); which is the quickest for a problem is measured (product_engine.hpp).
/// A build without CUTLASS's headers has none.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/kernel_launch.hpp"

namespace deformer::cuda {

/// What finishes a kernel's products.
enum class TileEnd : std::uint8_t { bias_erf_gelu, bias_onto };

struct CutlassTile {
  /// "128x128x64 pingpong": of out, rows and in. "2x2": blocks of a cluster, along out and rows.
  std::string_view name;
  TileEnd end;
  std::int64_t most_rows;  ///< beyond which it is not tried
  /// Queues it; may be captured. Empty when it is queued, else what refused.
  std::string (*queue)(const ProductArgs& args, void* workspace, std::int64_t workspace_bytes,
                       const LaunchPlace& place);
};

/// All there are; none in a build without CUTLASS.
std::span<const CutlassTile> cutlass_tiles();

/// Why no tile can serve this problem on a device of that capability (90 is 9.0), or nullopt.
std::optional<std::string> cutlass_why_not(const LtProblem& problem, int capability);

/// Those that can, to be measured; none where there is a reason.
std::vector<const CutlassTile*> cutlass_tiles_for(const LtProblem& problem, int capability);

/// "CUTLASS 4.2.0 (8 tiles)" or "built without CUTLASS".
std::string describe_cutlass();

}  // namespace deformer::cuda
