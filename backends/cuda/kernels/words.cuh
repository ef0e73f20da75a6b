#pragma once
/// How kernels read and write memory: kCount elements a lane at once, 16 bytes of them where rows
/// allow it. What was read stays as it was stored, in whole registers, until it is needed: loads of
/// several words can then be under way before the first is used.

#include <cstdint>

#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {

#if defined(__CUDACC__)
#define DEFORMER_ANY_OBJECT
#else
#define DEFORMER_ANY_OBJECT [[gnu::may_alias]]  // bytes that the host wrote as something else
#endif

/// kCount elements of T as they lie in memory.
template <class T, int kCount>
struct DEFORMER_ANY_OBJECT alignas(sizeof(T) * kCount) Word {
  static_assert(sizeof(T) * kCount % sizeof(std::uint32_t) == 0 && sizeof(T) * kCount <= 16);
  std::uint32_t at[sizeof(T) * kCount / sizeof(std::uint32_t)];
};

/// `at` counts elements and is a multiple of kCount.
template <class T, int kCount>
DEFORMER_PORTABLE Word<T, kCount> load_words(const void* values, std::int64_t at) {
  return reinterpret_cast<const Word<T, kCount>*>(values)[at / kCount];
}

template <class T, int kCount>
DEFORMER_PORTABLE void store_words(void* values, std::int64_t at, const Word<T, kCount>& words) {
  reinterpret_cast<Word<T, kCount>*>(values)[at / kCount] = words;
}

// Of one word: the elements in it, the first in the lowest bits.

DEFORMER_PORTABLE void widen_word(std::uint32_t word, float* to, float) {
  to[0] = float_of(word);
}
DEFORMER_PORTABLE void widen_word(std::uint32_t word, float* to, Bf16) {
  to[0] = float_of(word << 16);
  to[1] = float_of(word & 0xFFFF'0000U);
}
DEFORMER_PORTABLE void widen_word(std::uint32_t word, float* to, F16) {
  to[0] = to_float(F16{static_cast<std::uint16_t>(word & 0xFFFFU)});
  to[1] = to_float(F16{static_cast<std::uint16_t>(word >> 16)});
}

DEFORMER_PORTABLE std::uint32_t narrow_word(const float* from, float) {
  return bits_of(from[0]);
}
DEFORMER_PORTABLE std::uint32_t narrow_word(const float* from, Bf16) {
  return rounded_pair(Bf16{}, from[0], from[1]);
}
DEFORMER_PORTABLE std::uint32_t narrow_word(const float* from, F16) {
  return rounded_pair(F16{}, from[0], from[1]);
}
DEFORMER_PORTABLE std::uint32_t narrow_word(const float* from, E4m3) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t low;
  std::uint16_t high;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(from[1]), "f"(from[0]));
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(from[3]), "f"(from[2]));
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
#else
  std::uint32_t word = 0;
  DEFORMER_UNROLL
  for (int i = 0; i < 4; ++i) {
    word |= static_cast<std::uint32_t>(Rounded<E4m3>::from(from[i]).bits) << (8 * i);
  }
  return word;
#endif
}

/// Values a lane works on.
template <int kCount>
struct Values {
  float at[kCount];
};

template <class T, int kCount>
DEFORMER_PORTABLE Values<kCount> widened(const Word<T, kCount>& words) {
  constexpr int kEach = sizeof(std::uint32_t) / sizeof(T);
  Values<kCount> values;
  DEFORMER_UNROLL
  for (int i = 0; i < kCount / kEach; ++i) {
    widen_word(words.at[i], values.at + i * kEach, T{});
  }
  return values;
}

template <class T, int kCount>
DEFORMER_PORTABLE Word<T, kCount> narrowed(const Values<kCount>& values) {
  constexpr int kEach = sizeof(std::uint32_t) / sizeof(T);
  Word<T, kCount> words;
  DEFORMER_UNROLL
  for (int i = 0; i < kCount / kEach; ++i) {
    words.at[i] = narrow_word(values.at + i * kEach, T{});
  }
  return words;
}

template <int kCount>
DEFORMER_PORTABLE Values<kCount> scaled(Values<kCount> values, float factor) {
  DEFORMER_UNROLL
  for (float& value : values.at) {
    value *= factor;
  }
  return values;
}

template <int kCount>
DEFORMER_PORTABLE Values<kCount> sum_of(Values<kCount> left, const Values<kCount>& right) {
  DEFORMER_UNROLL
  for (int i = 0; i < kCount; ++i) {
    left.at[i] += right.at[i];
  }
  return left;
}

/// kCount floats, in one or two reads.
template <int kCount>
DEFORMER_PORTABLE Values<kCount> load_floats(const float* from, std::int64_t at) {
  Values<kCount> values;
  DEFORMER_UNROLL
  for (int i = 0; i < kCount / 4; ++i) {
    const Values<4> four = widened(load_words<float, 4>(from, at + 4 * i));
    DEFORMER_UNROLL
    for (int j = 0; j < 4; ++j) {
      values.at[4 * i + j] = four.at[j];
    }
  }
  return values;
}

template <int kCount>
DEFORMER_PORTABLE void store_floats(float* to, std::int64_t at, const Values<kCount>& values) {
  DEFORMER_UNROLL
  for (int i = 0; i < kCount / 4; ++i) {
    Values<4> four;
    DEFORMER_UNROLL
    for (int j = 0; j < 4; ++j) {
      four.at[j] = values.at[4 * i + j];
    }
    store_words(to, at + 4 * i, narrowed<float>(four));
  }
}

}  // namespace deformer::cuda
