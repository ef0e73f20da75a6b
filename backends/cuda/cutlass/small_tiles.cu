// Tiles for few rows: small enough for every multiprocessor to get one.

#include "backends/cuda/cutlass/gelu_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_small_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x96x64 cooperative", GeluProduct<128, 96, 64, 1, Cooperative>::queue},
      {"64x64x64 single", GeluProduct<64, 64, 64, 1, Single, 5>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
