#pragma once
/// Running a check on every instruction set that this processor has.

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdio>
#include <functional>

#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/narrow_widen_avx512.hpp"
#include "backends/cpu/tiles.hpp"

namespace deformer {

/// Runs `check` with the processor reduced to each instruction set the tiles are compiled for, and
/// before that, where f32 has AMX, with that.
inline void on_every_target(const std::function<void()>& check) {
  int run = 0;
  if (amx_f32::use()) {
    SCOPED_TRACE("AMX");
    check();
  } else {
    std::printf("SKIPPED: this processor has no AMX\n");
  }
  amx_f32::allow(false);
  for (const auto target : {HWY_EMU128, HWY_AVX2, HWY_AVX3}) {
    if ((hwy::SupportedTargets() & target) == 0) {
      std::printf("SKIPPED: this processor has no %s\n", hwy::TargetName(target));
      continue;
    }
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(tiles().isa);
    if (target != HWY_EMU128) {  // where Highway can't emulate vectors it has single floats
      EXPECT_STREQ(tiles().isa, hwy::TargetName(target));
    }
    check();
    ++run;
    hwy::SetSupportedTargetsForTest(0);
  }
  amx_f32::allow(true);
  EXPECT_GT(run, 0);
}

/// The same for what surrounds narrow products, which has code of its own for AVX-512 with bf16.
inline void on_every_narrow_target(const std::function<void()>& check) {
  if (narrow::has_bf16_vectors()) {
    SCOPED_TRACE("AVX512_BF16");
    check();
  } else {
    std::printf("SKIPPED: this processor has no AVX512_BF16\n");
  }
  narrow::allow_bf16_vectors(false);
  on_every_target(check);
  narrow::allow_bf16_vectors(true);
}

}  // namespace deformer
