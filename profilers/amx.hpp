#pragma once
/// What every user of AMX tiles needs first: leave to use them, and their configuration. x86-64.

#include <cstdint>

namespace deformer::amx {

/// Whether the processor has tiles and the kernel lets this process use them: it grants their state
/// on request (Linux, Documentation/arch/x86/xstate.rst), asked once.
bool usable();

/// The operand of LDTILECFG, palette 1 (Intel SDM): eight tiles of 16 rows of 64 bytes, unless
/// changed.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Makes it the calling thread's. Only where usable().
void load(const TileConfig& config);

/// GCC knows of no memory that the tile instructions read: what was written before has to be there.
inline void finish_writes() {
  asm volatile("" : : : "memory");
}

}  // namespace deformer::amx
