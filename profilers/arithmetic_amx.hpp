#pragma once
/// Loops of tile multiplications, for profilers/arithmetic.hpp; x86-64 with AMX.

#include <cstdint>

namespace deformer::amx {

/// Four multiplications an iteration, of tiles of 16 x 16 sums over 64 bytes of inner dimension,
/// each onto sums of its own: one takes 52 cycles and a new one starts every 16 (Intel,
/// Optimization Reference Manual, "Intel AMX").
inline constexpr double kBf16Operations = 4 * 2.0 * 16 * 16 * 32;
inline constexpr double kInt8Operations = 4 * 2.0 * 16 * 16 * 64;
void bf16_loop(std::int64_t iterations);
void int8_loop(std::int64_t iterations);

/// The same with factors as products have them: numbers drawn at random, other ones in each
/// iteration, loaded from the first-level cache, a tile for each multiplication. What real numbers
/// draw in power can take from the clock what zeros leave it: Sapphire Rapids, both cores of a
/// virtual machine, 6100 to 6700 instead of 7700 GFLOP/s in bf16, 3.0 to 3.3 GHz instead of 3.8
/// (with zeros these loads cost nothing).
void bf16_loaded_loop(std::int64_t iterations);
void int8_loaded_loop(std::int64_t iterations);

}  // namespace deformer::amx
