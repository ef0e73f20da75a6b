#pragma once
/// Walking a product that is larger than one register tile.

#include <cstdint>

#include "backends/cpu/tiles.hpp"

namespace deformer {

/// Runs `tile_of(rows)` down `rows` rows of A and C, as many at a time as the registers hold,
/// evenly.
template <typename TileOf>
void run_down(TileArgs args, std::int64_t rows, std::int64_t most_rows, const TileOf& tile_of) {
  const std::int64_t tiles = (rows + most_rows - 1) / most_rows;
  const TileArgs top = args;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = rows * tile / tiles;
    const std::int64_t count = rows * (tile + 1) / tiles - first;
    args.a = top.a + first * top.a_row;
    args.c = top.c + first * top.c_row;
    args.row_scale = top.row_scale == nullptr ? nullptr : top.row_scale + first;
    tile_of(static_cast<std::size_t>(count))(args);
  }
}

}  // namespace deformer
