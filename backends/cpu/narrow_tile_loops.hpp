#pragma once
/// The loops behind narrow_tiles.hpp, for x86-64. Each must only be called where the processor has
/// its instructions.

#include "backends/cpu/narrow_results.hpp"
#include "backends/cpu/narrow_tiles.hpp"

namespace deformer::narrow {

NarrowTiles amx_bf16();
NarrowTiles amx_int8();
NarrowTiles avx512_bf16();
NarrowTiles avx512_vnni();
NarrowTiles avx_vnni();
NarrowTiles avx2();

/// What a loop without tiles has to begin or end.
inline void nothing() {}

/// NarrowArgs::due at once, for loops whose registers are full: it then comes before.
inline void write_due(const NarrowArgs& args) {
  if (args.due != nullptr) {
    kernels::write(*args.due, 0, args.due->sums.rows);
  }
}

}  // namespace deformer::narrow
