#pragma once
/// f32 weights packed in panels of columns: [columns / panel][in][panel columns].

#include <algorithm>
#include <cstdint>
#include <memory>

#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"

namespace deformer {

/// Columns of the result in panels; the last one may be narrower, by whole vectors.
struct Panels {
  /// Vectors of `vector_floats`, panels of `panel_columns`.
  Panels(const LinearKind& kind, std::int64_t vector_floats, std::int64_t panel_columns)
      : in(kind.in),
        lanes(vector_floats),
        full(panel_columns),
        columns(divide_up(kind.out, lanes) * lanes),
        count(divide_up(columns, full)) {}

  std::int64_t width(std::int64_t panel) const { return std::min(full, columns - panel * full); }
  std::int64_t offset(std::int64_t panel) const { return panel * full * in; }

  std::int64_t in;
  std::int64_t lanes;
  std::int64_t full;
  std::int64_t columns;  ///< of the result, up to whole vectors
  std::int64_t count;
};

class PanelWeights final : public LinearWeights {
 public:
  PanelWeights(const LinearKind& kind, const Panels& panels, const Fill& fill_weights,
               const Fill& fill_bias, Slab& slab);

  std::int64_t bytes() const override;
  const float* weights() const { return weights_; }
  const float* bias() const { return bias_; }

 private:
  void pack(const LinearKind& kind, const Panels& panels, std::int64_t panel, const float* plain);

  std::int64_t floats_;
  float* weights_;
  float* bias_;
};

/// The product of panel_linear.cpp, by multiply-adds.
std::unique_ptr<Linear> make_panel_linear(const LinearKind& kind, const Panels& panels,
                                          std::int64_t rows);

}  // namespace deformer
