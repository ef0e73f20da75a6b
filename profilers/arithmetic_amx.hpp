#pragma once
/// Register-only loops of tile multiplications, for profilers/arithmetic.hpp; x86-64 with AMX.

#include <cstdint>

namespace deformer::amx {

/// Four multiplications an iteration, of tiles of 16 x 16 sums over 64 bytes of inner dimension,
/// each onto sums of its own: one takes 52 cycles and a new one starts every 16 (Intel,
/// Optimization Reference Manual, "Intel AMX").
inline constexpr double kBf16Operations = 4 * 2.0 * 16 * 16 * 32;
inline constexpr double kInt8Operations = 4 * 2.0 * 16 * 16 * 64;
void bf16_loop(std::int64_t iterations);
void int8_loop(std::int64_t iterations);

}  // namespace deformer::amx
