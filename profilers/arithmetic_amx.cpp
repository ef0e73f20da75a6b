#include "profilers/arithmetic_amx.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <bit>
#include <cstddef>
#include <random>

#include "profilers/amx.hpp"

#pragma GCC target("amx-tile,amx-bf16,amx-int8")

namespace deformer::amx {
namespace {

void begin() {
  load(TileConfig());
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

constexpr std::size_t kTileBytes = 1024;
/// Of an iteration.
constexpr std::size_t kTiles = 4;
/// Iterations until factors come again: 24 KiB, half of the first-level cache.
constexpr std::size_t kOther = 6;

struct alignas(64) Factors {
  std::array<std::byte, kOther * kTiles * kTileBytes> bytes;
};

Factors draw_bf16() {
  Factors drawn;
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < drawn.bytes.size(); i += 2) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(normal(engine));
    drawn.bytes[i] = static_cast<std::byte>(bits >> 16);
    drawn.bytes[i + 1] = static_cast<std::byte>(bits >> 24);
  }
  return drawn;
}

Factors draw_int8() {
  Factors drawn;
  std::mt19937 engine(1);
  for (std::byte& byte : drawn.bytes) {
    byte = static_cast<std::byte>(engine());
  }
  return drawn;
}

/// Each onto sums of its own.
template <bool kBf16>
[[gnu::always_inline]] inline void four_products() {
  if constexpr (kBf16) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  } else {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

template <bool kBf16>
void loop(std::int64_t iterations) {
  begin();
  for (std::int64_t i = 0; i < iterations; ++i) {
    four_products<kBf16>();
  }
  _tile_release();
}

template <bool kBf16>
void loaded_loop(std::int64_t iterations) {
  static const Factors factors = kBf16 ? draw_bf16() : draw_int8();
  begin();
  const std::byte* at = factors.bytes.data();
  for (std::int64_t i = 0; i < iterations; ++i) {
    _tile_loadd(6, at, 64);
    _tile_loadd(4, at + kTileBytes, 64);
    _tile_loadd(7, at + 2 * kTileBytes, 64);
    _tile_loadd(5, at + 3 * kTileBytes, 64);
    four_products<kBf16>();
    at += kTiles * kTileBytes;
    at = at == factors.bytes.data() + factors.bytes.size() ? factors.bytes.data() : at;
  }
  _tile_release();
}

}  // namespace

void bf16_loop(std::int64_t iterations) {
  loop<true>(iterations);
}

void int8_loop(std::int64_t iterations) {
  loop<false>(iterations);
}

void bf16_loaded_loop(std::int64_t iterations) {
  loaded_loop<true>(iterations);
}

void int8_loaded_loop(std::int64_t iterations) {
  loaded_loop<false>(iterations);
}

}  // namespace deformer::amx

#endif
