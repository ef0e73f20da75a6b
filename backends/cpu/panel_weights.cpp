#include "backends/cpu/panel_weights.hpp"

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/weight_stream.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

/// The first page from there on: weights are fetched by pages (weight_stream.hpp).
float* page_of(float* floats) {
  const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(floats));
  return floats +
         (round_up(address, WeightStream::kPageFloats * kFloatBytes) - address) / kFloatBytes;
}

}  // namespace

PanelWeights::PanelWeights(const LinearKind& kind, const Panels& panels, const Fill& fill_weights,
                           const Fill& fill_bias, Slab& slab)
    : floats_(panels.columns * (kind.in + 1)),
      weights_(page_of(slab.take_floats(panels.columns * kind.in + WeightStream::kPageFloats))),
      bias_(slab.take_floats(panels.columns)) {
  const AlignedBuffer plain(kind.in * kind.out * kFloatBytes);
  fill_weights({plain.floats(), static_cast<std::size_t>(kind.in * kind.out)});
  fill_bias({bias_, static_cast<std::size_t>(kind.out)});
  for (std::int64_t panel = 0; panel < panels.count; ++panel) {
    pack(kind, panels, panel, plain.floats());
  }
}

std::int64_t PanelWeights::bytes() const {
  return floats_ * kFloatBytes;
}

/// Columns beyond the last are zero, as the memory came.
void PanelWeights::pack(const LinearKind& kind, const Panels& panels, std::int64_t panel,
                        const float* plain) {
  const std::int64_t width = panels.width(panel);
  const std::int64_t first = panel * panels.full;
  const std::int64_t exist = std::min(width, kind.out - first);
  float* out = weights_ + panels.offset(panel);
  for (std::int64_t column = 0; column < exist; ++column) {
    const float* row = plain + (first + column) * kind.in;
    for (std::int64_t k = 0; k < kind.in; ++k) {
      out[k * width + column] = row[k];
    }
  }
}

}  // namespace deformer
