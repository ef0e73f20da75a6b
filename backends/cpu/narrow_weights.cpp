#include "backends/cpu/narrow_weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/pages.hpp"
#include "cache/codec_rows.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

}  // namespace

NarrowLayout::NarrowLayout(const LinearKind& kind)
    : per_group(kind.dtype == DType::bf16 ? 2 : 4),
      groups(divide_up(kind.in, per_group * kLineGroups) * kLineGroups),
      panels(divide_up(kind.out, kNarrowColumns)) {}

NarrowWeights::NarrowWeights(const LinearKind& kind, const NarrowLayout& layout, int most_weight,
                             const Fill& fill_weights, const Fill& fill_bias, Slab& slab)
    : layout_(layout),
      panels_(slab.take(layout.panels * layout.panel_bytes())),
      bias_(slab.take_floats(layout.columns())) {
  const AlignedBuffer plain(kind.in * kind.out * kFloatBytes);
  fill_weights({plain.floats(), static_cast<std::size_t>(kind.in * kind.out)});
  fill_bias({bias_, static_cast<std::size_t>(kind.out)});
  if (kind.dtype == DType::int8) {
    scales_ = slab.take_floats(layout.columns());
    column_sums_ = slab.take_floats(layout.columns());
  }
  for (std::int64_t column = 0; column < kind.out; ++column) {
    const float* row = plain.floats() + column * kind.in;
    kind.dtype == DType::bf16 ? pack_bf16(row, kind.in, column)
                              : pack_int8(row, kind.in, column, most_weight);
  }
}

/// The bytes of element k of a column.
std::byte* NarrowWeights::element(std::int64_t column, std::int64_t k) const {
  const std::int64_t group = k / layout_.per_group;
  return panels_ + column / kNarrowColumns * layout_.panel_bytes() + group * kPanelRowBytes +
         column % kNarrowColumns * kGroupBytes +
         k % layout_.per_group * (kGroupBytes / layout_.per_group);
}

void NarrowWeights::pack_bf16(const float* row, std::int64_t in, std::int64_t column) {
  for (std::int64_t k = 0; k < in; ++k) {
    codec::encode_bf16(row + k, 1, element(column, k));
  }
}

/// One scale a column: that of its largest weight.
void NarrowWeights::pack_int8(const float* row, std::int64_t in, std::int64_t column,
                              int most_weight) {
  float largest = 0;
  for (std::int64_t k = 0; k < in; ++k) {
    largest = std::max(largest, std::fabs(row[k]));
  }
  const auto limit = static_cast<float>(most_weight);
  const float scale = largest / limit;
  std::int64_t sum = 0;
  for (std::int64_t k = 0; k < in && scale > 0; ++k) {
    const float step = std::clamp(std::nearbyint(row[k] / scale), -limit, limit);
    const auto weight = static_cast<std::int8_t>(step);
    *element(column, k) = std::bit_cast<std::byte>(weight);
    sum += weight;
  }
  scales_[column] = scale;
  column_sums_[column] = scale * static_cast<float>(sum);
}

}  // namespace deformer
