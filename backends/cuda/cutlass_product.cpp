#include "backends/cuda/cutlass_product.hpp"

#include <limits>
#include <vector>

#include <fmt/format.h>

#include "backends/cuda/cutlass/tiles.hpp"

namespace deformer::cuda {
namespace {

constexpr int kCapability = 90;
constexpr std::int64_t kRowElements = 8;  ///< the tensor memory accelerator's rows: 16 bytes

std::vector<CutlassTile> all_tiles() {
  std::vector<CutlassTile> all;
#if DEFORMER_HAVE_CUTLASS
  for (const std::span<const CutlassTile> some :
       {cutlass_large_tiles(), cutlass_small_tiles(), cutlass_onto_tiles()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
#endif
  return all;
}

/// What of CUTLASS's finishes a product so, or nullopt.
std::optional<TileEnd> end_of(const LtProblem& problem) {
  if (problem.finish == Finish::bias_gelu_erf && problem.beta == 0.0F) {
    return TileEnd::bias_erf_gelu;
  }
  if (problem.finish == Finish::bias && (problem.beta == 0.0F || problem.beta == 1.0F)) {
    return TileEnd::bias_onto;
  }
  return std::nullopt;
}

}  // namespace

std::span<const CutlassTile> cutlass_tiles() {
  static const std::vector<CutlassTile> all = all_tiles();
  return all;
}

std::optional<std::string> cutlass_why_not(const LtProblem& problem, int capability) {
  if (capability != kCapability) {
    return fmt::format("expected a device of compute capability 9.0, found {}.{}", capability / 10,
                       capability % 10);
  }
  if (problem.a.element != Element::bf16 || problem.b.element != Element::bf16 ||
      problem.d.element != Element::bf16) {
    return "expected bf16";
  }
  const std::optional<TileEnd> end = end_of(problem);
  if (!end) {
    return fmt::format("expected a bias, or a bias and erf GELU onto nothing, found {}{}",
                       to_string(problem.finish), problem.beta != 0.0F ? " onto a residual" : "");
  }
  if (problem.in() % kRowElements != 0 || problem.out() % kRowElements != 0) {
    return fmt::format("expected rows of multiples of {} elements, found {} and {}", kRowElements,
                       problem.in(), problem.out());
  }
  for (const std::int64_t count : {problem.rows(), problem.in(), problem.out()}) {
    if (count < 1 || count > std::numeric_limits<std::int32_t>::max()) {
      return fmt::format("expected 1 to 2^31 - 1 rows and columns, found {}", count);
    }
  }
  if (*end == TileEnd::bias_onto && problem.rows() > kFewRows) {
    return fmt::format("expected up to {} rows with this finish, found {}", kFewRows,
                       problem.rows());
  }
  return std::nullopt;
}

std::vector<const CutlassTile*> cutlass_tiles_for(const LtProblem& problem, int capability) {
  std::vector<const CutlassTile*> found;
  if (!cutlass_why_not(problem, capability)) {
    for (const CutlassTile& tile : cutlass_tiles()) {
      if (tile.end == end_of(problem) && problem.rows() <= tile.most_rows) {
        found.push_back(&tile);
      }
    }
  }
  return found;
}

std::string describe_cutlass() {
#if DEFORMER_HAVE_CUTLASS
  return fmt::format("CUTLASS {} ({} tiles)", cutlass_version(), cutlass_tiles().size());
#else
  return "built without CUTLASS";
#endif
}

}  // namespace deformer::cuda
