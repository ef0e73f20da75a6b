#pragma once
/// Stored numbers and their conversions: the same bits on the host as on the device. All round to
/// nearest even; e4m3 saturates at 448 and never becomes infinite.

#include <cstdint>

#include "backends/cuda/host/element.hpp"
#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

DEFORMER_PORTABLE std::uint32_t bits_of(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}
DEFORMER_PORTABLE float float_of(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

struct Bf16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};
struct E4m3 {
  std::uint8_t bits;
};

DEFORMER_PORTABLE float to_float(float value) {
  return value;
}
DEFORMER_PORTABLE float to_float(Bf16 value) {
  return float_of(static_cast<std::uint32_t>(value.bits) << 16);
}
DEFORMER_PORTABLE float to_float(F16 value) {
#if defined(__CUDA_ARCH__)
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
#else
  const std::uint32_t sign = (value.bits & 0x8000U) << 16;
  const std::uint32_t magnitude = value.bits & 0x7FFFU;
  if (magnitude >= 0x7C00U) {  // infinity and NaN
    return float_of(sign | 0x7F80'0000U | (magnitude & 0x3FFU) << 13);
  }
  if (magnitude < 0x400U) {  // steps of 2^-24
    const float small = static_cast<float>(magnitude) * 0x1p-24F;
    return sign != 0 ? -small : small;
  }
  return float_of(sign | ((magnitude << 13) + (112U << 23)));
#endif
}
DEFORMER_PORTABLE float to_float(E4m3 value) {
  const std::uint32_t sign = (value.bits & 0x80U) << 24;
  const std::uint32_t magnitude = value.bits & 0x7FU;
  if (magnitude == 0x7FU) {
    return float_of(sign | 0x7FC0'0000U);
  }
  if (magnitude < 8U) {  // steps of 2^-9
    const float small = static_cast<float>(magnitude) * 0x1p-9F;
    return sign != 0 ? -small : small;
  }
  return float_of(sign | ((magnitude << 20) + (120U << 23)));
}

template <class T>
struct Rounded;

template <>
struct Rounded<float> {
  static DEFORMER_PORTABLE float from(float value) { return value; }
};

template <>
struct Rounded<Bf16> {
  static DEFORMER_PORTABLE Bf16 from(float value) {
#if defined(__CUDA_ARCH__)
    Bf16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
#else
    const std::uint32_t bits = bits_of(value);
    if ((bits & 0x7FFF'FFFFU) > 0x7F80'0000U) {
      return {0x7FFFU};
    }
    return {static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
#endif
  }
};

template <>
struct Rounded<F16> {
  static DEFORMER_PORTABLE F16 from(float value) {
#if defined(__CUDA_ARCH__)
    F16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
#else
    const std::uint32_t sign = (bits_of(value) >> 16) & 0x8000U;
    const std::uint32_t size = bits_of(value) & 0x7FFF'FFFFU;
    if (size > 0x7F80'0000U) {
      return {0x7FFFU};
    }
    if (size >= bits_of(65520.0F)) {  // half a step above the largest
      return {static_cast<std::uint16_t>(sign | 0x7C00U)};
    }
    if (size < bits_of(0x1p-14F)) {  // the last bits of size + 1/2 count in steps of 2^-24
      const std::uint32_t steps = bits_of(float_of(size) + 0.5F) - bits_of(0.5F);
      return {static_cast<std::uint16_t>(sign | steps)};
    }
    const std::uint32_t rounded = size + 0xFFFU + ((size >> 13) & 1U);
    return {static_cast<std::uint16_t>(sign | ((rounded - (112U << 23)) >> 13))};
#endif
  }
};

template <>
struct Rounded<E4m3> {
  static DEFORMER_PORTABLE E4m3 from(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    std::uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0F), "f"(value));
    return {static_cast<std::uint8_t>(pair & 0xFFU)};
#else
    const std::uint32_t sign = (bits_of(value) >> 24) & 0x80U;
    const std::uint32_t size = bits_of(value) & 0x7FFF'FFFFU;
    if (size > 0x7F80'0000U) {
      return {static_cast<std::uint8_t>(sign | 0x7FU)};
    }
    if (size >= bits_of(448.0F)) {
      return {static_cast<std::uint8_t>(sign | 0x7EU)};
    }
    if (size < bits_of(0x1p-6F)) {  // the last bits of size + 2^14 count in steps of 2^-9
      const std::uint32_t steps = bits_of(float_of(size) + 16384.0F) - bits_of(16384.0F);
      return {static_cast<std::uint8_t>(sign | steps)};
    }
    const std::uint32_t rounded = size + 0x7FFFFU + ((size >> 20) & 1U);
    const std::uint32_t magnitude = (rounded - (120U << 23)) >> 20;
    return {static_cast<std::uint8_t>(sign | (magnitude > 0x7EU ? 0x7EU : magnitude))};
#endif
  }
};

/// Two neighbours, rounded, in one register: the first in its lower half.
DEFORMER_PORTABLE std::uint32_t rounded_pair(Bf16, float first, float second) {
#if defined(__CUDA_ARCH__)
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return static_cast<std::uint32_t>(Rounded<Bf16>::from(first).bits) |
         static_cast<std::uint32_t>(Rounded<Bf16>::from(second).bits) << 16;
#endif
}
DEFORMER_PORTABLE std::uint32_t rounded_pair(F16, float first, float second) {
#if defined(__CUDA_ARCH__)
  std::uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return static_cast<std::uint32_t>(Rounded<F16>::from(first).bits) |
         static_cast<std::uint32_t>(Rounded<F16>::from(second).bits) << 16;
#endif
}

/// Elements that are read and written at once, 16 bytes of f32.
template <class T, int kCount = 4>
struct alignas(sizeof(T) * kCount) Pack {
  T at[kCount];
};

}  // namespace deformer::cuda
