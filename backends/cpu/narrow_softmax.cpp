#include "backends/cpu/narrow_softmax.hpp"

#include "backends/cpu/narrow_tiles.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <limits>

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

namespace deformer::narrow {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kBlockFloats = kNarrowRows * kNarrowColumns;

/// The first `count` of 32 bf16 elements, at most.
__mmask32 first_elements(std::int64_t count) {
  return count >= 32 ? ~__mmask32{0} : static_cast<__mmask32>((std::uint64_t{1} << count) - 1);
}

/// Turns a square of 16 x 16 groups: four-lane blocks first, then the blocks.
void turn(__m512i (&rows)[16]) {
  __m512i pairs[16];
#pragma GCC unroll 16
  for (int i = 0; i < 8; ++i) {
    pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
  // fours[4 q + c], block b: element 4 b + c of rows 4 q to 4 q + 3.
  __m512i fours[16];
#pragma GCC unroll 16
  for (int q = 0; q < 4; ++q) {
    fours[4 * q] = _mm512_unpacklo_epi64(pairs[4 * q], pairs[4 * q + 2]);
    fours[4 * q + 1] = _mm512_unpackhi_epi64(pairs[4 * q], pairs[4 * q + 2]);
    fours[4 * q + 2] = _mm512_unpacklo_epi64(pairs[4 * q + 1], pairs[4 * q + 3]);
    fours[4 * q + 3] = _mm512_unpackhi_epi64(pairs[4 * q + 1], pairs[4 * q + 3]);
  }
#pragma GCC unroll 16
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    const __m512i high01 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xDD);
    const __m512i low23 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const __m512i high23 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xDD);
    rows[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    rows[4 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    rows[8 + c] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
    rows[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
  }
}

/// Pairs of an element of `low` and one of `high`.
[[gnu::always_inline]] inline __m512i interleave(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

/// e^x for x <= 0; 0 for what is below about 2^-125, instead of numbers so small that the processor
/// takes some hundred cycles for each. A NaN stays one: it is not less than anything.
[[gnu::always_inline]] inline __m512 exp_of_negative(__m512 x) {
  const __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504F));
  const __mmask16 kept = _mm512_cmp_ps_mask(scaled, _mm512_set1_ps(-125.0F), _CMP_NLT_UQ);
  const __m512 whole = _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEAREST_INT);
  const __m512 part = _mm512_sub_ps(scaled, whole);
  // 2^part on [-1/2, 1/2], fitted for the least relative error, 7.5e-5.
  __m512 power = _mm512_set1_ps(5.51716575e-2F);
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(2.42611160e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(6.93260991e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(9.99928071e-1F));
  return _mm512_maskz_scalef_ps(kept, power, whole);
}

void softmax_row(float* scores, std::int64_t panels, std::byte* out, float* inverse_sum) {
  __m512 highest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 highest_odd = highest;
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const float* at = scores + panel * kBlockFloats;
    highest = _mm512_max_ps(highest, _mm512_load_ps(at));
    highest_odd = _mm512_max_ps(highest_odd, _mm512_load_ps(at + kLanes));
  }
  const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(highest, highest_odd)));
  __m512 sum = _mm512_setzero_ps();
  __m512 sum_odd = sum;
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const float* at = scores + panel * kBlockFloats;
    const __m512 even = exp_of_negative(_mm512_sub_ps(_mm512_load_ps(at), most));
    const __m512 odd = exp_of_negative(_mm512_sub_ps(_mm512_load_ps(at + kLanes), most));
    sum = _mm512_add_ps(sum, even);
    sum_odd = _mm512_add_ps(sum_odd, odd);
    const __m512bh both = _mm512_cvtne2ps_pbh(odd, even);
    _mm512_storeu_si512(out + panel * kNarrowColumns * 2, reinterpret_cast<__m512i>(both));
  }
  *inverse_sum = 1.0F / _mm512_reduce_add_ps(_mm512_add_ps(sum, sum_odd));
}

}  // namespace

void pack_keys(const std::byte* keys, std::int64_t row_bytes, std::int64_t tokens,
               std::int64_t d_head, std::int64_t groups, std::byte* panels) {
  for (std::int64_t token = 0; token < tokens || token % kNarrowColumns != 0; token += kLanes) {
    std::byte* panel = panels + token / kNarrowColumns * groups * kPanelRowBytes +
                       token % kNarrowColumns * kGroupBytes;
    for (std::int64_t group = 0; group < groups; group += kLanes) {
      const __mmask32 exist = first_elements(std::max<std::int64_t>(d_head - 2 * group, 0));
      __m512i rows[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        rows[i] = token + i < tokens
                      ? _mm512_maskz_loadu_epi16(exist, keys + (token + i) * row_bytes + group * 4)
                      : _mm512_setzero_si512();
      }
      turn(rows);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        _mm512_store_si512(panel + (group + i) * kPanelRowBytes, rows[i]);
      }
    }
  }
}

void pack_values(const std::byte* values, std::int64_t row_bytes, std::int64_t tokens,
                 std::int64_t d_head, std::int64_t token_groups, std::byte* panels) {
  for (std::int64_t group = 0; group < token_groups; ++group) {
    const std::int64_t token = 2 * group;
    for (std::int64_t column = 0; column < d_head; column += kNarrowColumns) {
      const __mmask32 exist = first_elements(d_head - column);
      const std::byte* at = values + token * row_bytes + column * 2;
      const __m512i first =
          token < tokens ? _mm512_maskz_loadu_epi16(exist, at) : _mm512_setzero_si512();
      const __m512i second = token + 1 < tokens ? _mm512_maskz_loadu_epi16(exist, at + row_bytes)
                                                : _mm512_setzero_si512();
      const __m512i low = interleave(_mm512_castsi512_si256(first), _mm512_castsi512_si256(second));
      const __m512i high =
          interleave(_mm512_extracti64x4_epi64(first, 1), _mm512_extracti64x4_epi64(second, 1));
      std::byte* out = panels + (column / kNarrowColumns * token_groups + group) * kPanelRowBytes;
      _mm512_store_si512(out, low);
      _mm512_store_si512(out + 64, high);
    }
  }
}

void softmax_rows(float* scores, std::int64_t rows, std::int64_t tokens, std::byte* out,
                  std::int64_t out_row_bytes, float* inverse_sums) {
  const std::int64_t panels = (tokens + kNarrowColumns - 1) / kNarrowColumns;
  const std::int64_t in_last = tokens - (panels - 1) * kNarrowColumns;
  for (std::int64_t row = 0; row < rows; ++row) {
    float* own = scores + row * kNarrowColumns;
    float* last = own + (panels - 1) * kBlockFloats;
    for (std::int64_t column = in_last; column < kNarrowColumns; ++column) {
      last[column] = -std::numeric_limits<float>::infinity();
    }
    softmax_row(own, panels, out + row * out_row_bytes, inverse_sums + row);
  }
}

void store_scaled(const float* sums, std::int64_t rows, std::int64_t columns, const float* factors,
                  std::byte* out, std::int64_t out_row_bytes) {
  const __mmask32 exist = first_elements(columns);
  for (std::int64_t row = 0; row < rows; ++row) {
    const __m512 factor = _mm512_set1_ps(factors[row]);
    const float* at = sums + row * kNarrowColumns;
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_mul_ps(_mm512_load_ps(at + kLanes), factor),
                                              _mm512_mul_ps(_mm512_load_ps(at), factor));
    _mm512_mask_storeu_epi16(out + row * out_row_bytes, exist, reinterpret_cast<__m512i>(both));
  }
}

}  // namespace deformer::narrow

#pragma GCC pop_options

#else

namespace deformer::narrow {

void pack_keys(const std::byte*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
               std::byte*) {}
void pack_values(const std::byte*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                 std::byte*) {}
void softmax_rows(float*, std::int64_t, std::int64_t, std::byte*, std::int64_t, float*) {}
void store_scaled(const float*, std::int64_t, std::int64_t, const float*, std::byte*,
                  std::int64_t) {}

}  // namespace deformer::narrow

#endif
