#pragma once
/// f32 numbers as three bf16 ones, for AMX: x = high + middle + low exactly, each part the leading
/// 8 bits of what the ones before leave. A product of two such numbers is the sum of nine part
/// products, each exact in f32; the three smallest (middle low, low middle, low low) stay below
/// 2^-23 of the whole, an ulp at the very worst, and are left out. Sums of the other six are as
/// accurate as f32 multiply-adds: Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial
/// Intelligence Datatype For Higher-Precision Computations", ARITH 2019 (arXiv 1904.06376).
///
/// The high and the middle part are rounded, halves away from zero; what is left then fits the low
/// one. A NaN stays one in the low part; an infinity, and a magnitude beyond bf16's largest number
/// (3.39e38), makes NaNs of products. Parts below the smallest normal number, 1.2e-38, count as
/// zero in AMX: numbers below 2^-103 (1e-31) may lose their low part.
///
/// Included where AVX-512 may be used: functions are compiled for it and inlined. x86-64.

#include <immintrin.h>

#include <cstdint>

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl")

namespace deformer::three_parts {

inline constexpr std::int64_t kParts = 3;
/// Part products that count.
inline constexpr std::int64_t kPartProducts = 6;

/// A vector of the high, middle and low parts, two bf16 in each 32 bits.
struct Parts {
  __m512i high;
  __m512i middle;
  __m512i low;
};

/// The leading part of each number, as the bits of an f32.
[[gnu::always_inline]] inline __m512i leading(__m512 x) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i kept = _mm512_set1_epi32(static_cast<std::int32_t>(0xFFFF0000U));
  return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), kept);
}

[[gnu::always_inline]] inline __m512 without(__m512 x, __m512i part) {
  return _mm512_sub_ps(x, _mm512_castsi512_ps(part));
}

/// The odd 16-bit numbers of the one, then of the other.
struct OneAfterTheOther {
  [[gnu::always_inline]] static __m512i pair(__m512i a, __m512i b) {
    alignas(64) static constexpr std::uint16_t kUpperHalves[32] = {
        1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
        33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    return _mm512_permutex2var_epi16(a, _mm512_load_si512(kUpperHalves), b);
  }
};

/// The odd 16-bit numbers of both in turns.
struct InTurns {
  [[gnu::always_inline]] static __m512i pair(__m512i a, __m512i b) {
    return _mm512_mask_blend_epi16(0xAAAAAAAAU, _mm512_srli_epi32(a, 16), b);
  }
};

/// Parts of two vectors of numbers, put together by Order.
template <class Order>
[[gnu::always_inline]] inline Parts split(__m512 a, __m512 b) {
  const __m512i high_a = leading(a);
  const __m512i high_b = leading(b);
  const __m512 rest_a = without(a, high_a);
  const __m512 rest_b = without(b, high_b);
  const __m512i middle_a = leading(rest_a);
  const __m512i middle_b = leading(rest_b);
  const __m512i low_a = _mm512_castps_si512(without(rest_a, middle_a));
  const __m512i low_b = _mm512_castps_si512(without(rest_b, middle_b));
  return {Order::pair(high_a, high_b), Order::pair(middle_a, middle_b), Order::pair(low_a, low_b)};
}

/// Neighbours in a row: 32 numbers, in order. What a left operand's rows are made of.
[[gnu::always_inline]] inline Parts split_row(__m512 first, __m512 second) {
  return split<OneAfterTheOther>(first, second);
}

/// Two rows: number 2i is even[i], number 2i + 1 odd[i]. What a right operand's panels are made of.
[[gnu::always_inline]] inline Parts split_pairs(__m512 even, __m512 odd) {
  return split<InTurns>(even, odd);
}

}  // namespace deformer::three_parts

#pragma GCC pop_options
