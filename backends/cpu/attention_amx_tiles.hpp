#pragma once
/// The tile unit's share of f32 attention by AMX (attention_amx.hpp): 32 x 32 sums of operands in
/// three parts, laid out as attention_amx_work.hpp says. x86-64.

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/cpu/attention_amx_work.hpp"
#include "profilers/amx.hpp"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prfchw,amx-tile,amx-bf16")

namespace deformer::attention {

/// Tiles: sums 0 1 / 2 3 of the upper and lower rows, left operands 4 / 5, right operands 6 7.
inline void configure(std::int64_t rows) {
  const auto upper = static_cast<std::uint8_t>((rows + 1) / 2);
  const auto lower = static_cast<std::uint8_t>(std::max<std::int64_t>(1, rows / 2));
  amx::TileConfig config;
  const std::uint8_t tile_rows[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
  std::ranges::copy(tile_rows, config.rows);
  amx::load(config);
}

[[gnu::always_inline]] inline void multiply_upper() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
}

[[gnu::always_inline]] inline void multiply_lower() {
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

/// Calls of `meanwhile` in one multiply.
inline constexpr std::int64_t kSlots = 8;

/// Sums += left operand x right operand; the lower rows begin `lower` bytes into each of the left's
/// parts. The order of the six part products has each share a part with the one before: 14 tiles
/// are loaded for 24 multiplications.
template <class Meanwhile>
[[gnu::always_inline]] inline void multiply(const std::byte* left, std::int64_t lower,
                                            const std::byte* right, const Meanwhile& meanwhile) {
  constexpr std::int64_t kMiddle = kPartBytes;
  constexpr std::int64_t kLow = 2 * kPartBytes;
  // low x high
  _tile_loadd(4, left + kLow, kTileRowBytes);
  _tile_loadd(6, right, kTileRowBytes);
  _tile_loadd(7, right + kTileBytes, kTileRowBytes);
  multiply_upper();
  meanwhile();
  _tile_loadd(5, left + kLow + lower, kTileRowBytes);
  multiply_lower();
  meanwhile();
  // high x high
  _tile_loadd(4, left, kTileRowBytes);
  multiply_upper();
  _tile_loadd(5, left + lower, kTileRowBytes);
  multiply_lower();
  meanwhile();
  // middle x high
  _tile_loadd(4, left + kMiddle, kTileRowBytes);
  multiply_upper();
  _tile_loadd(5, left + kMiddle + lower, kTileRowBytes);
  multiply_lower();
  meanwhile();
  // middle x middle
  _tile_loadd(6, right + kMiddle, kTileRowBytes);
  _tile_loadd(7, right + kMiddle + kTileBytes, kTileRowBytes);
  multiply_upper();
  multiply_lower();
  meanwhile();
  // high x middle
  _tile_loadd(4, left, kTileRowBytes);
  multiply_upper();
  meanwhile();
  _tile_loadd(5, left + lower, kTileRowBytes);
  multiply_lower();
  meanwhile();
  // high x low
  _tile_loadd(6, right + kLow, kTileRowBytes);
  _tile_loadd(7, right + kLow + kTileBytes, kTileRowBytes);
  multiply_upper();
  multiply_lower();
  meanwhile();
}

inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void store_sums(float* at, std::int64_t row_bytes, std::int64_t upper_rows) {
  float* lower = at + upper_rows * row_bytes / 4;
  _tile_stored(0, at, row_bytes);
  _tile_stored(1, at + kLanes, row_bytes);
  _tile_stored(2, lower, row_bytes);
  _tile_stored(3, lower + kLanes, row_bytes);
}

}  // namespace deformer::attention

#pragma GCC pop_options
