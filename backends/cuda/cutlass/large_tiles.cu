// Tiles for many rows. Two groups of warps take turns (pingpong): while one applies bias and GELU,
// the other keeps the tensor cores busy. The last is for rows of which it leaves one tile to each
// multiprocessor: 864 of them (32 questions) and 3072 outs are 120 tiles, 11.05 us on an H100
// beside 12.00 of the one before it.

// Without it 176 rows are multiplied as eleven times 16.
#define CUTE_SM90_EXTENDED_MMA_SHAPES_ENABLED 1

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_large_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"128x128x64 pingpong", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 128, 64, 2, 1, Pingpong>::queue},
      {"128x192x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 192, 64, 2, 1, Cooperative>::queue},
      {"128x176x64 cooperative", TileEnd::bias_erf_gelu, kAnyRows,
       TileProduct<BiasErfGelu, 128, 176, 64, 2, 1, Cooperative>::queue},
  };
  return kTiles;
}

std::string cutlass_version() {
  return std::to_string(CUTLASS_MAJOR) + "." + std::to_string(CUTLASS_MINOR) + "." +
         std::to_string(CUTLASS_PATCH);
}

}  // namespace deformer::cuda
