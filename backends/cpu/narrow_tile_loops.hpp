#pragma once
/// The loops behind narrow_tiles.hpp, for x86-64. Each must only be called where the processor has
/// its instructions.

#include "backends/cpu/narrow_tiles.hpp"

namespace deformer::narrow {

/// Whether the processor has AMX tiles and the kernel lets this process use them (it asks, once:
/// Linux grants the tiles' state on request only, Documentation/arch/x86/xstate.rst).
bool amx_usable();

NarrowTiles amx_bf16();
NarrowTiles amx_int8();
NarrowTiles avx512_bf16();
NarrowTiles avx512_vnni();
NarrowTiles avx_vnni();
NarrowTiles avx2();

}  // namespace deformer::narrow
