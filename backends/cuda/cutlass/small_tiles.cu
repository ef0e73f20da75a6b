// Tiles for few rows: small enough for every multiprocessor to get one. Blocks of the last share
// their loads, in clusters of 2x2: 96 blocks read 17 MB out of the L2 (384 rows, 768x3072), where
// those of the first read 33.

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_small_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x96x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 96, 64, 1, 1, Cooperative>::queue},
      {"128x64x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 64, 64, 1, 1, Cooperative>::queue},
      {"128x96x64 cooperative 2x2", TileEnd::bias_erf_gelu, kFewRows,
       TileProduct<BiasErfGelu, 128, 96, 64, 2, 2, Cooperative>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
