#include "backends/cpu/transpose.hpp"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/transpose.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace deformer::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<float>;
using Vector = hn::Vec<Full>;

#undef DEFORMER_TURNS_VECTORS
#define DEFORMER_TURNS_VECTORS (HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE)

#if DEFORMER_TURNS_VECTORS
/// Turns four rows so that vector c has, in its block b of four lanes, element 4 b + c of each row.
HWY_INLINE void TurnFour(Vector (&rows)[4]) {
  const Full tag;
  const hn::Repartition<std::uint64_t, Full> pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(tag, rows[0], rows[1]));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(tag, rows[2], rows[3]));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(tag, rows[0], rows[1]));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(tag, rows[2], rows[3]));
  rows[0] = hn::BitCast(tag, hn::InterleaveLower(pairs, low01, low23));
  rows[1] = hn::BitCast(tag, hn::InterleaveUpper(pairs, low01, low23));
  rows[2] = hn::BitCast(tag, hn::InterleaveLower(pairs, high01, high23));
  rows[3] = hn::BitCast(tag, hn::InterleaveUpper(pairs, high01, high23));
}

/// Turns a square of as many rows as a vector has lanes.
HWY_INLINE void TurnSquare(Vector (&rows)[hn::MaxLanes(Full())]) {
  const Full tag;
  constexpr std::size_t kBlocks = hn::MaxLanes(Full()) / 4;
  Vector turned[kBlocks][4];
  for (std::size_t group = 0; group < kBlocks; ++group) {
    for (std::size_t i = 0; i < 4; ++i) turned[group][i] = rows[4 * group + i];
    TurnFour(turned[group]);
  }
  // Now a square of blocks in each of the four.
  for (std::size_t c = 0; c < 4; ++c) {
    if constexpr (kBlocks == 4) {
      const auto even01 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(turned[1][c]), turned[0][c]);
      const auto odd01 = hn::OddEvenBlocks(turned[1][c], hn::SwapAdjacentBlocks(turned[0][c]));
      const auto even23 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(turned[3][c]), turned[2][c]);
      const auto odd23 = hn::OddEvenBlocks(turned[3][c], hn::SwapAdjacentBlocks(turned[2][c]));
      rows[c] = hn::ConcatLowerLower(tag, even23, even01);
      rows[4 + c] = hn::ConcatLowerLower(tag, odd23, odd01);
      rows[8 + c] = hn::ConcatUpperUpper(tag, even23, even01);
      rows[12 + c] = hn::ConcatUpperUpper(tag, odd23, odd01);
    } else if constexpr (kBlocks == 2) {
      rows[c] = hn::ConcatLowerLower(tag, turned[1][c], turned[0][c]);
      rows[4 + c] = hn::ConcatUpperUpper(tag, turned[1][c], turned[0][c]);
    } else {
      rows[c] = turned[0][c];
    }
  }
}

void Transpose(const float* rows, std::size_t stride, std::size_t count, std::size_t columns,
               float* out, std::size_t width) {
  const Full tag;
  constexpr std::size_t kLanes = hn::MaxLanes(Full());
  for (std::size_t row = 0; row < width; row += kLanes) {
    for (std::size_t column = 0; column < columns; column += kLanes) {
      const std::size_t exist = columns - column < kLanes ? columns - column : kLanes;
      Vector square[kLanes];
      for (std::size_t i = 0; i < kLanes; ++i) {
        square[i] = row + i < count ? hn::MaskedLoad(hn::FirstN(tag, exist), tag,
                                                     rows + (row + i) * stride + column)
                                    : hn::Zero(tag);
      }
      TurnSquare(square);
      for (std::size_t i = 0; i < exist; ++i) {
        hn::StoreU(square[i], tag, out + (column + i) * width + row);
      }
    }
  }
}

void AddTransposed(const float* rows, std::size_t stride, std::size_t queries, std::size_t keys,
                   float* scores, std::size_t width) {
  const Full tag;
  constexpr std::size_t kLanes = hn::MaxLanes(Full());
  for (std::size_t query = 0; query < queries; query += kLanes) {
    const std::size_t exist = queries - query < kLanes ? queries - query : kLanes;
    for (std::size_t key = 0; key < keys; key += kLanes) {
      Vector square[kLanes];
      for (std::size_t i = 0; i < kLanes; ++i) {
        square[i] = i < exist ? hn::LoadU(tag, rows + (query + i) * stride + key) : hn::Zero(tag);
      }
      TurnSquare(square);
      const std::size_t count = keys - key < kLanes ? keys - key : kLanes;
      for (std::size_t i = 0; i < count; ++i) {
        float* at = scores + (key + i) * width + query;
        hn::StoreU(hn::Add(hn::LoadU(tag, at), square[i]), tag, at);
      }
    }
  }
}
#else
void Transpose(const float* rows, std::size_t stride, std::size_t count, std::size_t columns,
               float* out, std::size_t width) {
  for (std::size_t row = 0; row < width; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      out[column * width + row] = row < count ? rows[row * stride + column] : 0.0F;
    }
  }
}

void AddTransposed(const float* rows, std::size_t stride, std::size_t queries, std::size_t keys,
                   float* scores, std::size_t width) {
  for (std::size_t query = 0; query < queries; ++query) {
    for (std::size_t key = 0; key < keys; ++key) {
      scores[key * width + query] += rows[query * stride + key];
    }
  }
}
#endif

}  // namespace deformer::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::kernels {
namespace {

HWY_EXPORT(Transpose);
HWY_EXPORT(AddTransposed);

std::size_t size(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

}  // namespace

void transpose(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t columns,
               float* out, std::int64_t width) {
  HWY_DYNAMIC_DISPATCH(Transpose)
  (rows, size(stride), size(count), size(columns), out, size(width));
}

void add_transposed(const float* rows, std::int64_t stride, std::int64_t queries, std::int64_t keys,
                    float* scores, std::int64_t width) {
  HWY_DYNAMIC_DISPATCH(AddTransposed)
  (rows, size(stride), size(queries), size(keys), scores, size(width));
}

}  // namespace deformer::kernels
#endif  // HWY_ONCE
