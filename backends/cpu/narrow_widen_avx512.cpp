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

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

#include "backends/cpu/narrow_widen_avx512-inl.hpp"

namespace deformer::narrow {
namespace {

using namespace avx512;

template <class Sums, NarrowActivation kActivation>
void to_bf16_as(const kernels::NarrowSums& from, std::byte* out, std::int64_t out_row_bytes) {
  const Sums sums(from);
  for (std::int64_t row = 0; row < from.rows; ++row) {
    put_bf16<kActivation>(sums, row, out + row * out_row_bytes);
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
    if (whole) {
      add_row(sums, row, at);
    } else {
      _mm512_storeu_ps(at, _mm512_add_ps(sums.row(row).low, _mm512_loadu_ps(at)));
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
