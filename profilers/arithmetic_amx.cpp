#include "profilers/arithmetic_amx.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

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

}  // namespace

void bf16_loop(std::int64_t iterations) {
  begin();
  for (std::int64_t i = 0; i < iterations; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

void int8_loop(std::int64_t iterations) {
  begin();
  for (std::int64_t i = 0; i < iterations; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
}

}  // namespace deformer::amx

#endif
