// Tiles for few rows: small enough for every multiprocessor to get one. The first is the quickest
// at 384 rows of 768x3072, the second at 320 (H100: 6.99 and 6.54 us). Clusters of 2x2, 80 and 112
// rows a tile, and blocks of one group of warps were none of them quicker.

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_small_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x96x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 96, 64, 1, 1, Cooperative>::queue},
      {"128x64x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 64, 64, 1, 1, Cooperative>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
