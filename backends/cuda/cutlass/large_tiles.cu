// Tiles for many rows. Two groups of warps take turns (pingpong): while one applies bias and GELU,
// the other keeps the tensor cores busy.

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_large_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x128x64 pingpong", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 128, 64, 2, 1, Pingpong>::queue},
      {"128x192x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 192, 64, 2, 1, Cooperative>::queue},
  };
  return kTiles;
}

std::string cutlass_version() {
  return std::to_string(CUTLASS_MAJOR) + "." + std::to_string(CUTLASS_MINOR) + "." +
         std::to_string(CUTLASS_PATCH);
}

}  // namespace deformer::cuda
