#pragma once
/// XLNet's relative positions and segments, worked out ahead: what a layer's scores need of them
/// depends on its weights and on how far two tokens can be apart, and on nothing else. So it is
/// made once with the model and shared by every length, batch and instance.

#include <cstdint>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/relative_scores.hpp"
#include "backends/cpu/slab.hpp"
#include "model/weights.hpp"

namespace deformer {

/// Rows of relative positions (model/relative_positions.hpp) for distances from `tokens` - 1 down
/// to
/// -(tokens - 1), row_stride(d) floats apart. All layers read it.
class PositionTable {
 public:
  PositionTable() = default;
  PositionTable(std::int64_t tokens, std::int64_t d);

  std::int64_t reach() const { return reach_; }
  std::int64_t rows() const { return 2 * reach_ + 1; }
  const float* floats() const { return table_.floats(); }

 private:
  std::int64_t reach_ = 0;
  AlignedBuffer table_;
};

class RelativeWeights {
 public:
  RelativeWeights() = default;
  /// What is packed lies in `slab`. May be called by several threads at once.
  RelativeWeights(const WeightSource& source, std::int64_t layer, const PositionTable& positions,
                  Slab& slab);

  /// Null when empty.
  const RelativeKeys* keys() const { return keys_.keys == nullptr ? nullptr : &keys_; }
  std::int64_t bytes() const { return floats_ * static_cast<std::int64_t>(sizeof(float)); }

 private:
  RelativeKeys keys_;
  std::int64_t floats_ = 0;
};

}  // namespace deformer
