#pragma once
/// The device's own approximations, an instruction each, for results that are rounded to 16 bits.
/// On the host the exact functions stand in for them.

#include <cmath>

#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

inline constexpr float kLog2E = 1.44269504F;

/// 2^value, on the device to 2 units of the last place; nothing below 2^-126.
DEFORMER_PORTABLE float quick_exp2(float value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return exp2f(value);
#endif
}

/// 1 / value, on the device to a unit of the last place; 0 from 2^126 on.
DEFORMER_PORTABLE float quick_inverse(float value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return 1.0F / value;
#endif
}

}  // namespace deformer::cuda
