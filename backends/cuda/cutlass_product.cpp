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
  for (const std::span<const CutlassTile> some : {cutlass_large_tiles(), cutlass_small_tiles()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
#endif
  return all;
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
  if (problem.finish != Finish::bias_gelu_erf || problem.beta != 0.0F) {
    return "expected a bias and erf GELU onto nothing";
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
  return std::nullopt;
}

std::string describe_cutlass() {
#if DEFORMER_HAVE_CUTLASS
  return fmt::format("CUTLASS {} ({} tiles)", cutlass_version(), cutlass_tiles().size());
#else
  return "built without CUTLASS";
#endif
}

}  // namespace deformer::cuda
