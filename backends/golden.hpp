#pragma once
/// Golden data and what parity means: the reader of golden directories, the distance between two
/// sets of rows, and how far apart they may be.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "model/types.hpp"
#include "model/weights.hpp"

namespace deformer {

/// One expected output of one pair of texts.
struct GoldenCase {
  std::string name;
  Variant variant = Variant::full;
  std::int64_t split = 0;  ///< 0 for full
  Order order = Order::question_first;
  std::vector<std::int32_t> question_ids;
  std::vector<std::int32_t> passage_ids;
  std::vector<float> expected;       ///< [question + passage tokens, d_model], rows in input order
  std::vector<float> expected_head;  ///< span [tokens, 2] or classes [1, classes]; mostly absent

  Shape shape() const;    ///< of the one pair
  Inputs inputs() const;  ///< views of the ids; no cached passage
};

struct GoldenSet {
  std::unique_ptr<WeightSource> weights;
  std::vector<GoldenCase> cases;  ///< at least one
};

/// Reads `dir/golden.json` and `dir/golden.safetensors`; configuration and weights come from
/// `weights_dir`, or from `dir` when that is empty. Every case is checked against the
/// configuration.
/// @throws BadInput naming the file, the case, what was expected and found.
GoldenSet read_golden(const std::filesystem::path& dir,
                      const std::filesystem::path& weights_dir = {});

/// What a backend made of a case.
struct CaseOutput {
  std::vector<float> rows;  ///< [tokens, d_model]
  std::vector<float> head;  ///< empty without a head
};

/// Runs one case on a loaded model. For `cached` the passage is computed by the same model's
/// prefill plan and encoded as `options.cache_dtype`.
CaseOutput run_golden_case(Model& model, const GoldenCase& golden, const SessionOptions& options);

/// Distance of actual rows to expected ones. A NaN or infinity in `actual` makes `finite` false,
/// `max_abs` infinite and `cosine_min` -1.
struct ParityResult {
  double max_abs = 0.0;
  double cosine_min = 1.0;  ///< of the worst row; two zero rows agree, a zero and another do not
  bool finite = true;
};

/// Compares rows of `d` values; both spans have the same size, a multiple of d.
ParityResult compare_rows(std::span<const float> actual, std::span<const float> expected,
                          std::int64_t d);
ParityResult compare_rows(std::span<const double> actual, std::span<const float> expected,
                          std::int64_t d);
ParityResult compare_rows(std::span<const float> actual, std::span<const double> expected,
                          std::int64_t d);

enum class ToleranceKind { max_abs, row_cosine, reported };

struct Tolerance {
  ToleranceKind kind = ToleranceKind::max_abs;
  double limit = 0.0;  ///< largest max_abs, or smallest cosine

  /// NaN and infinities are accepted by none.
  bool accepts(const ParityResult& result) const;
  /// "max_abs <= 2.0e-04", "row cosine >= 0.999", "reported, not judged".
  std::string text() const;
};

/// The interface's tolerances: reference 2e-5; f32 2e-4 times max(1, 0.1 x the largest |output|);
/// bf16 and f16 row cosine 0.999; int8 and fp8 0.99; bit1 is reported. The coarser of dtype and
/// cache dtype decides; the reference computes any dtype exactly.
Tolerance tolerance_for(bool backend_is_reference, DType dtype, double largest_output,
                        DType cache_dtype = DType::f32);

/// The largest |value|, for tolerance_for.
double largest_magnitude(std::span<const float> values);

}  // namespace deformer
