// Tiles of products with a bias alone, or onto what the result holds, for few rows. Each is the
// quickest somewhere, on an H100 with BERT-base's widths: the first for 2304 outs of 384 rows (5.70
// us, 108 blocks; cuBLASLt 5.81), the second for 768 outs (of 768 ins 4.11 beside 4.54, of 3072
// 8.03 beside 7.90), the third for 2304 outs of 320 rows (5.63 beside 6.07, 180 blocks).
//
// Tried, and the quickest nowhere: blocks of one group of warps, two of which fit into a
// multiprocessor (64x32 and 64x48 of 128 and 64 ins, 128x64, 64x64; in a forward of 384 rows 4 to
// 20 % behind), 128x128, 64x96, and clusters of 2x2 of the second.

// Without it 48 rows are multiplied as three times 16, each of which reads the weights once more.
#define CUTE_SM90_EXTENDED_MMA_SHAPES_ENABLED 1

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_onto_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"onto 128x64x64 cooperative 2x2", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 128, 64, 64, 2, 2, Cooperative>::queue},
      {"onto 64x48x128 pingpong 4x1", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 64, 48, 128, 4, 1, Pingpong>::queue},
      {"onto 64x112x64 pingpong 4x1", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 64, 112, 64, 4, 1, Pingpong>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
