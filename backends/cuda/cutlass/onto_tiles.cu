// Tiles of products with a bias alone, or onto what the result holds, for few rows. At 384 rows of
// BERT-base the first gives 108 blocks to products of 2304 outs; of 768 outs the second gives 96
// and the third, two of which fit into a multiprocessor, 144.
//
// What clusters are for: a block loads its whole tile of weights and of rows, and 96 blocks of
// 64x48 together would read 66 MB out of the L2 for 3072 ins, where 2x2 of them that share their
// loads read 33. (cuBLASLt's quickest there are clusters of 4x1 and 4x2.)

// Without it 48 rows are multiplied as three times 16, each of which reads the weights once more.
#define CUTE_SM90_EXTENDED_MMA_SHAPES_ENABLED 1

#include "backends/cuda/cutlass/tile_product.cuh"

namespace deformer::cuda {

std::span<const CutlassTile> cutlass_onto_tiles() {
  static constexpr CutlassTile kTiles[] = {
      {"onto 128x64x64 cooperative 2x2", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 128, 64, 64, 2, 2, Cooperative>::queue},
      {"onto 64x48x128 pingpong 2x2", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 64, 48, 128, 2, 2, Pingpong>::queue},
      {"onto 64x32x128 single 4x2", TileEnd::bias_onto, kFewRows,
       TileProduct<BiasOnto, 64, 32, 128, 4, 2, Single>::queue},
  };
  return kTiles;
}

}  // namespace deformer::cuda
