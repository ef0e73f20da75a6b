#include "profilers/amx.hpp"

#if defined(__x86_64__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC target("amx-tile")

namespace deformer::amx {
namespace {

bool ask() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, asm/prctl.h
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  __builtin_cpu_init();
  return __builtin_cpu_supports("amx-tile") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool usable() {
  static const bool granted = ask();
  return granted;
}

void load(const TileConfig& config) {
  // GCC 12 tells itself that the instruction reads eight bytes and leaves the rest unwritten.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

}  // namespace deformer::amx

#endif
