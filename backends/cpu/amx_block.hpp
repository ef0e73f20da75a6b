#pragma once
/// How a block of up to 32 rows times 32 columns is laid over the eight tiles: sums 0 1 / 2 3, left
/// operands 4 / 5, right operands 6 7. Fewer rows take less time. x86-64.

#include <algorithm>
#include <cstdint>

#include "profilers/amx.hpp"

namespace deformer::amx {

inline constexpr std::int64_t kTileRows = 16;

/// Rows the tiles of this thread are configured for; 0 when they are not.
inline constinit thread_local std::int64_t configured_rows = 0;

/// Up to kTileRows rows are all upper ones; more are shared out, the upper ones one ahead.
inline void configure_block(std::int64_t rows) {
  if (rows == configured_rows) {
    return;
  }
  const auto upper = static_cast<std::uint8_t>(rows > kTileRows ? (rows + 1) / 2 : rows);
  const auto lower = static_cast<std::uint8_t>(rows > kTileRows ? rows / 2 : 1);
  TileConfig config;
  const std::uint8_t tile_rows[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
  std::ranges::copy(tile_rows, config.rows);
  load(config);
  configured_rows = rows;
}

}  // namespace deformer::amx
