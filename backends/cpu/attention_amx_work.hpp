#pragma once
/// The vector unit's share of f32 attention by AMX (attention_amx.hpp), in pieces of some hundred
/// instructions that fit between multiplications of tiles: packing queries, keys and values in
/// three parts, softmax, quotients. Compiled for AVX-512 and inlined; x86-64.
///
/// An operand is a square of 32 x 32 numbers in three parts of two tiles each: a left one's rows,
/// with 32 numbers of the inner dimension, or a right one's columns, 16 in each tile. Numbers i and
/// 16 + i of the inner dimension make a pair everywhere, which spares shuffles.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "backends/cpu/pages.hpp"
#include "backends/cpu/three_parts.hpp"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prfchw")

namespace deformer::attention {

inline constexpr std::int64_t kLanes = 16;
/// Rows of a block, keys of a panel, columns of a chunk of a head.
inline constexpr std::int64_t kSide = 32;
inline constexpr std::int64_t kSquareFloats = kSide * kSide;
inline constexpr std::int64_t kTileRowBytes = 64;
inline constexpr std::int64_t kTileBytes = 16 * kTileRowBytes;
inline constexpr std::int64_t kPartBytes = 2 * kTileBytes;
inline constexpr std::int64_t kOperandBytes = three_parts::kParts * kPartBytes;

/// Work of `count` pieces, spread evenly over `calls` calls of some(); rest() does what is left.
template <class Work>
class Spread {
 public:
  void enter(const Work& work, std::int64_t count, std::int64_t calls) {
    work_ = work;
    next_ = 0;
    count_ = count;
    calls_ = std::max<std::int64_t>(1, calls);
    due_ = 0;
  }
  [[gnu::always_inline]] inline void some() {
    for (due_ += count_; due_ >= calls_ && next_ < count_; due_ -= calls_) {
      work_.piece(next_++);
    }
  }
  void rest() {
    while (next_ < count_) {
      work_.piece(next_++);
    }
  }

 private:
  Work work_;
  std::int64_t next_ = 0;
  std::int64_t count_ = 0;
  std::int64_t calls_ = 1;
  std::int64_t due_ = 0;  ///< times calls_
};

/// The first `count` of 32; none where it is below 0, past the last column.
struct Kept {
  explicit Kept(std::int64_t count = kSide) {
    const std::uint32_t bits = count >= kSide ? ~0U : count <= 0 ? 0U : (1U << count) - 1;
    low = static_cast<__mmask16>(bits & 0xFFFFU);
    high = static_cast<__mmask16>(bits >> 16);
  }
  __mmask16 low;
  __mmask16 high;
};

/// `at`: in the high part.
[[gnu::always_inline]] inline void store_parts(const three_parts::Parts& parts, std::byte* at) {
  _mm512_storeu_si512(at, parts.high);
  _mm512_storeu_si512(at + kPartBytes, parts.middle);
  _mm512_storeu_si512(at + 2 * kPartBytes, parts.low);
}

/// Rows of a matrix of which some exist.
struct Rows {
  const float* first = nullptr;
  std::int64_t stride = 0;  ///< floats
  std::int64_t count = 0;
  std::int64_t columns = 0;

  /// Those from `row` on.
  Rows below(std::int64_t row) const {
    return {first + row * stride, stride, count - row, columns};
  }
};

/// Up to 32 queries to left operands, one for each chunk; a piece is a row. Where its context will
/// be written is fetched meanwhile.
struct QueryPacking {
  Rows rows;
  std::byte* out = nullptr;
  const float* context = nullptr;
  std::int64_t context_stride = 0;

  [[gnu::noinline]] void piece(std::int64_t row) const {
    const float* at = rows.first + row * rows.stride;
    for (std::int64_t column = 0; column < rows.columns; column += kSide) {
      const Kept kept(rows.columns - column);
      store_parts(three_parts::split_pairs(_mm512_maskz_loadu_ps(kept.low, at + column),
                                           _mm512_maskz_loadu_ps(kept.high, at + column + kLanes)),
                  out + column / kSide * kOperandBytes + row * kTileRowBytes);
      __builtin_prefetch(context + row * context_stride + column, 1, 2);
      __builtin_prefetch(context + row * context_stride + column + kLanes, 1, 2);
    }
  }
};

/// Up to 32 values' columns to right operands, one for each chunk, `apart` bytes apart; zeros
/// beyond. A piece is four pairs of values by 16 columns.
struct ValuePacking {
  static constexpr std::int64_t kPieces = 8;  ///< of a chunk
  Rows rows;
  std::byte* out = nullptr;
  std::int64_t apart = 0;

  [[gnu::noinline]] void piece(std::int64_t index) const {
    const std::int64_t chunk = index / kPieces;
    const std::int64_t half = index / 4 % 2;
    const std::int64_t column = chunk * kSide + half * kLanes;
    const __mmask16 kept = Kept(rows.columns - column).low;
    std::byte* to = out + chunk * apart + half * kTileBytes;
    const auto load = [&](std::int64_t row) __attribute__((always_inline)) {
      return _mm512_maskz_loadu_ps(row < rows.count ? kept : __mmask16{0},
                                   rows.first + row * rows.stride + column);
    };
    for (std::int64_t row = index % 4 * 4; row < index % 4 * 4 + 4; ++row) {
      store_parts(three_parts::split_pairs(load(row), load(row + kLanes)),
                  to + row * kTileRowBytes);
    }
  }
};

/// A square of 16, turned.
[[gnu::always_inline]] inline void turn(__m512 (&rows)[16]) {
  __m512 fours[16];  // [4 g + c]: of rows 4 g to 4 g + 3, columns c, 4 + c, 8 + c, 12 + c
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1]));
    const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
    const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i + 2], rows[i + 3]));
    const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i + 2], rows[i + 3]));
    fours[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    fours[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    fours[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    fours[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
  }
  constexpr int kEven = 0x88;  // of four blocks, the first and third of each operand
  constexpr int kOdd = 0xDD;
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 even_above = _mm512_shuffle_f32x4(fours[c], fours[4 + c], kEven);
    const __m512 even_below = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], kEven);
    const __m512 odd_above = _mm512_shuffle_f32x4(fours[c], fours[4 + c], kOdd);
    const __m512 odd_below = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], kOdd);
    rows[c] = _mm512_shuffle_f32x4(even_above, even_below, kEven);
    rows[4 + c] = _mm512_shuffle_f32x4(odd_above, odd_below, kEven);
    rows[8 + c] = _mm512_shuffle_f32x4(even_above, even_below, kOdd);
    rows[12 + c] = _mm512_shuffle_f32x4(odd_above, odd_below, kOdd);
  }
}

/// Up to 32 keys, turned, to right operands, one for each chunk; zeros beyond. Of 16 keys by 32
/// columns, two pieces turn 16 columns each and two split what was turned.
struct KeyPacking {
  static constexpr std::int64_t kPieces = 8;  ///< of a chunk
  Rows rows;
  std::byte* out = nullptr;
  float* turned = nullptr;  ///< [32 columns][16 keys]

  [[gnu::noinline]] void piece(std::int64_t index) const {
    const std::int64_t chunk = index / kPieces;
    const std::int64_t half = index / 4 % 2;
    const std::int64_t quarter = index % 4;
    if (quarter < 2) {
      turn_columns(half * kLanes, chunk * kSide + quarter * kLanes, turned + quarter * 16 * kLanes);
    } else {
      split(quarter % 2 * 8, out + chunk * kOperandBytes + half * kTileBytes);
    }
  }

 private:
  void turn_columns(std::int64_t first_key, std::int64_t column, float* to) const {
    const __mmask16 kept = rows.columns > column ? Kept(rows.columns - column).low : __mmask16{0};
    __m512 square[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      square[i] = _mm512_maskz_loadu_ps(first_key + i < rows.count ? kept : __mmask16{0},
                                        rows.first + (first_key + i) * rows.stride + column);
    }
    turn(square);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      _mm512_storeu_ps(to + i * kLanes, square[i]);
    }
  }
  void split(std::int64_t first, std::byte* to) const {
    for (std::int64_t i = first; i < first + 8; ++i) {
      store_parts(three_parts::split_pairs(_mm512_loadu_ps(turned + i * kLanes),
                                           _mm512_loadu_ps(turned + (kLanes + i) * kLanes)),
                  to + i * kTileRowBytes);
    }
  }
};

/// e^x for x <= 0, at least 2^-126; 0 where not `kept`. As kernels.cpp has it.
[[gnu::always_inline]] inline __m512 exponentials_of(__m512 x, __mmask16 kept) {
  const __m512 log2_e = _mm512_set1_ps(1.44269504F);
  const __m512 rounder = _mm512_set1_ps(12582912.0F);
  const __m512 bounded = _mm512_max_ps(_mm512_set1_ps(-87.33654F), x);  // a NaN stays
  const __m512 whole = _mm512_sub_ps(_mm512_fmadd_ps(bounded, log2_e, rounder), rounder);
  const __m512 part = _mm512_fmsub_ps(bounded, log2_e, whole);
  __m512 power = _mm512_set1_ps(1.32764673e-3F);
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(9.67554178e-3F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(5.55071329e-2F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(2.40221197e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(6.93146967e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(1.0F));
  return _mm512_maskz_scalef_ps(kept, power, whole);
}

/// A block's scores to the exponentials of their distances to each row's largest, as left operands.
/// Pieces are 32 keys of a row, in order; each also looks for the largest score of the next row.
class Softmax {
 public:
  Softmax() = default;
  /// scores: [panels][32 rows][32 keys], of which the last panel has `last_keys`; sums:
  /// [rows][kLanes], to be added.
  Softmax(const float* scores, std::int64_t panels, std::int64_t last_keys,
          std::byte* probabilities, float* sums)
      : scores_(scores),
        probabilities_(probabilities),
        sums_(sums),
        panels_(panels),
        last_(last_keys) {
    next_low_ = next_high_ = lowest();
    for (std::int64_t panel = 0; panel < panels_; ++panel) {
      raise(scores + panel * kSquareFloats, kept(panel));
    }
    begin_row();
  }

  [[gnu::always_inline]] inline void piece(std::int64_t) {
    const Kept exist = kept(panel_);
    const float* at = scores_ + panel_ * kSquareFloats;
    const __m512 low = exponentials_of(_mm512_sub_ps(_mm512_loadu_ps(at), highest_), exist.low);
    const __m512 high =
        exponentials_of(_mm512_sub_ps(_mm512_loadu_ps(at + kLanes), highest_), exist.high);
    store_parts(three_parts::split_pairs(low, high), probabilities_ + panel_ * kOperandBytes);
    sum_ = _mm512_add_ps(sum_, _mm512_add_ps(low, high));
    raise(at + kSide, exist);
    if (++panel_ == panels_) {
      _mm512_storeu_ps(sums_, sum_);
      scores_ += kSide;
      probabilities_ += kTileRowBytes;
      sums_ += kLanes;
      begin_row();
    }
  }

 private:
  [[gnu::always_inline]] static __m512 lowest() {
    return _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  }
  Kept kept(std::int64_t panel) const { return panel + 1 < panels_ ? Kept() : last_; }

  [[gnu::always_inline]] inline void begin_row() {
    panel_ = 0;
    highest_ = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(next_low_, next_high_)));
    next_low_ = next_high_ = lowest();
    sum_ = _mm512_setzero_ps();
  }
  [[gnu::always_inline]] inline void raise(const float* scores, const Kept& exist) {
    next_low_ = _mm512_mask_max_ps(next_low_, exist.low, next_low_, _mm512_loadu_ps(scores));
    next_high_ =
        _mm512_mask_max_ps(next_high_, exist.high, next_high_, _mm512_loadu_ps(scores + kLanes));
  }

  const float* scores_ = nullptr;  ///< of the row
  std::byte* probabilities_ = nullptr;
  float* sums_ = nullptr;
  std::int64_t panels_ = 0;
  std::int64_t panel_ = 0;
  Kept last_;
  __m512 highest_{};
  __m512 next_low_{};
  __m512 next_high_{};
  __m512 sum_{};
};

/// Contexts over their rows' sums; a piece is a row.
struct Quotients {
  const float* context = nullptr;
  std::int64_t stride = 0;      ///< floats
  const float* sums = nullptr;  ///< [rows][kLanes], to be added
  std::int64_t columns = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;

  [[gnu::noinline]] void piece(std::int64_t row) const {
    const float sum = _mm512_reduce_add_ps(_mm512_loadu_ps(sums + row * kLanes));
    const __m512 factor = _mm512_set1_ps(1.0F / sum);
    for (std::int64_t column = 0; column < columns; column += kLanes) {
      const __m512 of_all = _mm512_loadu_ps(context + row * stride + column);
      _mm512_mask_storeu_ps(out + row * out_stride + column, Kept(columns - column).low,
                            _mm512_mul_ps(of_all, factor));
    }
  }
};

}  // namespace deformer::attention

#pragma GCC pop_options
