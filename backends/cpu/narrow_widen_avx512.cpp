#include "backends/cpu/narrow_widen_avx512.hpp"

namespace deformer::narrow {
namespace {

bool bf16_vectors_allowed = true;

}  // namespace

bool use_bf16_vectors() {
  return bf16_vectors_allowed && has_bf16_vectors();
}

void allow_bf16_vectors(bool allowed) {
  bf16_vectors_allowed = allowed;
}

}  // namespace deformer::narrow

#if defined(__x86_64__)

#include <immintrin.h>

#include "backends/cpu/narrow_gelu.hpp"

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

namespace deformer::narrow {
namespace {

constexpr std::int64_t kLanes = 16;

/// Two vectors: a row of a block.
struct Pair {
  __m512 low;
  __m512 high;
};

[[gnu::always_inline]] inline Pair load_pair(const float* at) {
  return {_mm512_loadu_ps(at), _mm512_loadu_ps(at + kLanes)};
}

struct FloatSums {
  Pair bias;

  [[gnu::always_inline]] inline explicit FloatSums(const kernels::NarrowSums& from)
      : bias(load_pair(from.bias)) {}
  [[gnu::always_inline]] inline Pair row(const kernels::NarrowSums& from, std::int64_t row) const {
    const Pair sums = load_pair(static_cast<const float*>(from.sums) + row * kNarrowColumns);
    return {_mm512_add_ps(sums.low, bias.low), _mm512_add_ps(sums.high, bias.high)};
  }
};

struct IntegerSums {
  Pair bias;
  Pair scale;
  Pair sum;

  [[gnu::always_inline]] inline explicit IntegerSums(const kernels::NarrowSums& from)
      : bias(load_pair(from.bias)),
        scale(load_pair(from.column_scale)),
        sum(load_pair(from.column_sum)) {}
  [[gnu::always_inline]] inline Pair row(const kernels::NarrowSums& from, std::int64_t row) const {
    const auto* sums = static_cast<const std::int32_t*>(from.sums) + row * kNarrowColumns;
    const __m512 step = _mm512_set1_ps(from.ranges[row].step);
    const __m512 lowest = _mm512_set1_ps(from.ranges[row].lowest);
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

template <class Sums, NarrowActivation kActivation>
void to_bf16_as(const kernels::NarrowSums& from, std::byte* out, std::int64_t out_row_bytes) {
  const Sums sums(from);
  for (std::int64_t row = 0; row < from.rows; ++row) {
    const Pair y = sums.row(from, row);
    _mm512_storeu_si512(out + row * out_row_bytes,
                        bf16_of(activate<kActivation>(y.low), activate<kActivation>(y.high)));
  }
}

template <class Sums>
void to_bf16_with(const kernels::NarrowSums& from, NarrowActivation activation, std::byte* out,
                  std::int64_t out_row_bytes) {
  switch (activation) {
    case NarrowActivation::none:
      to_bf16_as<Sums, NarrowActivation::none>(from, out, out_row_bytes);
      break;
    case NarrowActivation::gelu_erf:
      to_bf16_as<Sums, NarrowActivation::gelu_erf>(from, out, out_row_bytes);
      break;
    case NarrowActivation::gelu_tanh:
      to_bf16_as<Sums, NarrowActivation::gelu_tanh>(from, out, out_row_bytes);
      break;
  }
}

template <class Sums>
void added(const kernels::NarrowSums& from, float* out, std::int64_t stride) {
  const Sums sums(from);
  const bool whole = from.columns == kNarrowColumns;
  for (std::int64_t row = 0; row < from.rows; ++row) {
    float* at = out + row * stride;
    const Pair y = sums.row(from, row);
    _mm512_storeu_ps(at, _mm512_add_ps(y.low, _mm512_loadu_ps(at)));
    if (whole) {
      _mm512_storeu_ps(at + kLanes, _mm512_add_ps(y.high, _mm512_loadu_ps(at + kLanes)));
    }
  }
}

}  // namespace

void widen_added(const kernels::NarrowSums& from, float* out, std::int64_t stride) {
  from.ranges == nullptr ? added<FloatSums>(from, out, stride)
                         : added<IntegerSums>(from, out, stride);
}

void widen_to_bf16(const kernels::NarrowSums& from, NarrowActivation activation, std::byte* out,
                   std::int64_t out_row_bytes) {
  from.ranges == nullptr ? to_bf16_with<FloatSums>(from, activation, out, out_row_bytes)
                         : to_bf16_with<IntegerSums>(from, activation, out, out_row_bytes);
}

void to_bf16(const kernels::WideRows& from, std::byte* out, std::int64_t out_row_bytes) {
  for (std::int64_t row = 0; row < from.rows; ++row) {
    const auto* x = reinterpret_cast<const float*>(from.x + row * from.x_row_bytes);
    std::byte* to = out + row * out_row_bytes;
    for (std::int64_t column = 0; column < from.columns; column += kNarrowColumns) {
      const std::int64_t left = from.columns - column;
      const auto exist =
          static_cast<std::uint32_t>(left >= 32 ? 0xFFFF'FFFFU : (std::uint32_t{1} << left) - 1);
      const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(exist & 0xFFFFU), x + column);
      const __m512 high =
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(exist >> 16), x + column + kLanes);
      _mm512_storeu_si512(to + column * 2, bf16_of(low, high));
    }
  }
}

}  // namespace deformer::narrow

#pragma GCC pop_options

namespace deformer::narrow {

bool has_bf16_vectors() {
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }();
  return has;
}

}  // namespace deformer::narrow

#else

namespace deformer::narrow {

bool has_bf16_vectors() {
  return false;
}
void widen_added(const kernels::NarrowSums&, float*, std::int64_t) {}
void widen_to_bf16(const kernels::NarrowSums&, NarrowActivation, std::byte*, std::int64_t) {}
void to_bf16(const kernels::WideRows&, std::byte*, std::int64_t) {}

}  // namespace deformer::narrow

#endif
