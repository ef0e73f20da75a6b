#pragma once
/// Weights of one linear layer packed in panels of narrow numbers (narrow_tiles.hpp).

#include <cstddef>
#include <cstdint>

#include "backends/cpu/linear.hpp"
#include "backends/cpu/narrow_tiles.hpp"

namespace deformer {

/// How the weights of one kind lie.
struct NarrowLayout {
  explicit NarrowLayout(const LinearKind& kind);

  std::int64_t panel_bytes() const { return groups * kPanelRowBytes; }
  std::int64_t columns() const { return panels * kNarrowColumns; }
  std::int64_t source_row_bytes(const LinearKind& kind) const {
    return narrow_row_bytes(kind.in, kGroupBytes / per_group);
  }

  std::int64_t per_group;  ///< elements
  std::int64_t groups;     ///< of a row, up to whole lines
  std::int64_t panels;
};

/// bf16 weights are rounded to nearest even. 8-bit ones have one scale a column, that of its
/// largest weight over `most_weight`. Rows and columns beyond the matrix are zero.
class NarrowWeights final : public LinearWeights {
 public:
  NarrowWeights(const LinearKind& kind, const NarrowLayout& layout, int most_weight,
                const Fill& fill_weights, const Fill& fill_bias, Slab& slab);

  std::int64_t bytes() const override {
    const std::int64_t vectors = scales_ == nullptr ? 1 : 3;
    return layout_.panels * layout_.panel_bytes() +
           vectors * layout_.columns() * static_cast<std::int64_t>(sizeof(float));
  }
  const std::byte* panel(std::int64_t index) const {
    return panels_ + index * layout_.panel_bytes();
  }
  const float* bias() const { return bias_; }
  const float* scales() const { return scales_; }            ///< null for bf16
  const float* column_sums() const { return column_sums_; }  ///< null for bf16

 private:
  std::byte* element(std::int64_t column, std::int64_t k) const;
  void pack_bf16(const float* row, std::int64_t in, std::int64_t column);
  void pack_int8(const float* row, std::int64_t in, std::int64_t column, int most_weight);

  NarrowLayout layout_;
  std::byte* panels_;
  float* bias_;
  float* scales_ = nullptr;
  float* column_sums_ = nullptr;
};

}  // namespace deformer
