// Tiles for few rows: small enough for every multiprocessor to get one.

#include "backends/cuda/cutlass/gelu_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_small_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x96x64 cooperative", GeluProduct<128, 96, 64, 1, Cooperative>::queue},
      {"128x64x64 cooperative", GeluProduct<128, 64, 64, 1, Cooperative>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
