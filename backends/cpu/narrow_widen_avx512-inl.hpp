#pragma once
/// Rows of sums made into numbers by AVX-512, a panel's 32 columns as two vectors; for sources
/// whose target has AVX-512 with bf16 (narrow_widen_avx512.hpp says what that is for).

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "backends/cpu/narrow_gelu.hpp"
#include "backends/cpu/narrow_rows.hpp"

namespace deformer::narrow::avx512 {

inline constexpr std::int64_t kLanes = 16;

/// Two vectors: a row of a block.
struct Pair {
  __m512 low;
  __m512 high;
};

[[gnu::always_inline]] inline Pair load_pair(const float* at) {
  return {_mm512_loadu_ps(at), _mm512_loadu_ps(at + kLanes)};
}

/// f32 sums. What a row needs is copied: what is stored could otherwise change it, and it would be
/// read again for each.
struct FloatSums {
  const float* at;
  Pair bias;

  [[gnu::always_inline]] inline explicit FloatSums(const kernels::NarrowSums& from)
      : at(static_cast<const float*>(from.sums)), bias(load_pair(from.bias)) {}
  [[gnu::always_inline]] inline Pair row(std::int64_t row) const {
    const Pair sums = load_pair(at + row * kNarrowColumns);
    return {_mm512_add_ps(sums.low, bias.low), _mm512_add_ps(sums.high, bias.high)};
  }
};

/// int32 sums.
struct IntegerSums {
  const std::int32_t* at;
  const RowRange* ranges;
  Pair bias;
  Pair scale;
  Pair sum;

  [[gnu::always_inline]] inline explicit IntegerSums(const kernels::NarrowSums& from)
      : at(static_cast<const std::int32_t*>(from.sums)),
        ranges(from.ranges),
        bias(load_pair(from.bias)),
        scale(load_pair(from.column_scale)),
        sum(load_pair(from.column_sum)) {}
  [[gnu::always_inline]] inline Pair row(std::int64_t row) const {
    const std::int32_t* sums = at + row * kNarrowColumns;
    const __m512 step = _mm512_set1_ps(ranges[row].step);
    const __m512 lowest = _mm512_set1_ps(ranges[row].lowest);
    const __m512 low = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums));
    const __m512 high = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + kLanes));
    return {_mm512_fmadd_ps(low, _mm512_mul_ps(step, scale.low),
                            _mm512_fmadd_ps(lowest, sum.low, bias.low)),
            _mm512_fmadd_ps(high, _mm512_mul_ps(step, scale.high),
                            _mm512_fmadd_ps(lowest, sum.high, bias.high))};
  }
};

[[gnu::always_inline]] inline __m512 gelu(__m512 x, const float (&coefficients)[kGeluTerms]) {
  const __m512 most = _mm512_set1_ps(kGeluEnd);
  const __m512 clamped = _mm512_max_ps(_mm512_min_ps(x, most), _mm512_set1_ps(-kGeluEnd));
  const __m512 t = _mm512_fmsub_ps(_mm512_mul_ps(clamped, clamped), _mm512_set1_ps(kGeluScale),
                                   _mm512_set1_ps(1.0F));
  __m512 sum = _mm512_set1_ps(coefficients[0]);
#pragma GCC unroll 16
  for (int i = 1; i < kGeluTerms; ++i) {
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(coefficients[i]));
  }
  return _mm512_mul_ps(x, _mm512_fmadd_ps(clamped, sum, _mm512_set1_ps(0.5F)));
}

template <NarrowActivation kActivation>
[[gnu::always_inline]] inline __m512 activate(__m512 x) {
  if constexpr (kActivation == NarrowActivation::gelu_erf) {
    return gelu(x, kGeluErf);
  } else if constexpr (kActivation == NarrowActivation::gelu_tanh) {
    return gelu(x, kGeluTanh);
  } else {
    return x;
  }
}

[[gnu::always_inline]] inline __m512i bf16_of(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

/// Row `row` -> 32 bf16.
template <NarrowActivation kActivation, class Sums>
[[gnu::always_inline]] inline void put_bf16(const Sums& sums, std::int64_t row, std::byte* out) {
  const Pair y = sums.row(row);
  _mm512_storeu_si512(out, bf16_of(activate<kActivation>(y.low), activate<kActivation>(y.high)));
}

/// Row `row`, added to 32 floats.
template <class Sums>
[[gnu::always_inline]] inline void add_row(const Sums& sums, std::int64_t row, float* out) {
  const Pair y = sums.row(row);
  _mm512_storeu_ps(out, _mm512_add_ps(y.low, _mm512_loadu_ps(out)));
  _mm512_storeu_ps(out + kLanes, _mm512_add_ps(y.high, _mm512_loadu_ps(out + kLanes)));
}

}  // namespace deformer::narrow::avx512
