#include "backends/cpu/attention_tiles.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

// Nothing differs below between these and their neighbours; leaving them out halves the compile.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/attention_tiles.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

#include "backends/cpu/multiply_add-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace deformer::attention::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kMostVectors = DEFORMER_REGISTERS == 32 ? 4 : 3;

using deformer::HWY_NAMESPACE::MultiplyAdd;
using deformer::HWY_NAMESPACE::Tag;
using deformer::HWY_NAMESPACE::Vector;

constexpr int MostRows(int vectors) {
  return deformer::HWY_NAMESPACE::TileRows(vectors, 12);
}

/// One step of the inner dimension: `a(row)` times a row of B.
template <int kRows, int kVectors, class Element>
HWY_INLINE void Step(const float* b, const Element& a, Vector (&sum)[kRows][kVectors]) {
  const Tag tag;
  Vector columns[kVectors];
  DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
    columns[v] = hn::LoadU(tag, b + static_cast<std::size_t>(v) * hn::Lanes(tag));
  }
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    const Vector broadcast = hn::Set(tag, *a(row));
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      MultiplyAdd(sum[row][v], broadcast, columns[v]);
    }
  }
}

template <int kRows, int kVectors>
HWY_INLINE void ScoreTile(const ScoreArgs& args, const float* keys, float* scores,
                          Vector (&highest)[kVectors]) {
  const Tag tag;
  const std::size_t lanes = hn::Lanes(tag);
  const std::size_t width = kVectors * lanes;
  Vector sum[kRows][kVectors];
  DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
    const Vector first = args.bias == nullptr
                             ? hn::Zero(tag)
                             : hn::LoadU(tag, args.bias + static_cast<std::size_t>(v) * lanes);
    DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
      sum[row][v] = first;
    }
  }
  // Each pointer serves three rows: at 0, 1 and 2 strides.
  const auto stride = args.key_stride;
  const float* a[(kRows + 2) / 3];
  for (int group = 0; group < (kRows + 2) / 3; ++group) {
    a[group] = keys + 3 * group * stride;
  }
  const float* b = args.queries;
  std::int64_t k = args.d_head;
  for (; k >= 4; k -= 4) {
    DEFORMER_UNROLL for (int step = 0; step < 4; ++step) {
      Step<kRows, kVectors>(
          b + static_cast<std::size_t>(step) * width,
          [&](int row) HWY_ATTR { return a[row / 3] + (row % 3) * stride + step; }, sum);
    }
    for (const float*& pointer : a) pointer += 4;
    b += 4 * width;
  }
  for (; k > 0; --k) {
    Step<kRows, kVectors>(
        b, [&](int row) HWY_ATTR { return a[row / 3] + (row % 3) * stride; }, sum);
    for (const float*& pointer : a) ++pointer;
    b += width;
  }
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(
          sum[row][v], tag,
          scores + static_cast<std::size_t>(row) * width + static_cast<std::size_t>(v) * lanes);
      highest[v] = hn::Max(highest[v], sum[row][v]);
    }
  }
}

template <int kRows, int kVectors>
void ScoreRows(const ScoreArgs& args, std::int64_t first) {
  const Tag tag;
  const std::size_t lanes = hn::Lanes(tag);
  Vector highest[kVectors];
  DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
    highest[v] = hn::LoadU(tag, args.highest + static_cast<std::size_t>(v) * lanes);
  }
  ScoreTile<kRows, kVectors>(args, args.keys + first * args.key_stride,
                             args.scores + first * args.width, highest);
  DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(highest[v], tag, args.highest + static_cast<std::size_t>(v) * lanes);
  }
}

template <int kRows, int kVectors>
void MixRows(const MixArgs& args, std::int64_t first, std::int64_t column) {
  const Tag tag;
  const std::size_t lanes = hn::Lanes(tag);
  float* sums = args.sums + first * args.columns + column;
  Vector sum[kRows][kVectors];
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      const float* at = sums + row * args.columns + static_cast<std::int64_t>(lanes) * v;
      sum[row][v] = args.add ? hn::LoadU(tag, at) : hn::Zero(tag);
    }
  }
  const float* a = args.weights + first;
  const float* b = args.values + column;
  std::int64_t k = args.count;
  for (; k >= 2; k -= 2) {
    Step<kRows, kVectors>(
        b, [&](int row) HWY_ATTR { return a + row; }, sum);
    const float* next = a + args.width;
    Step<kRows, kVectors>(
        b + args.columns, [&](int row) HWY_ATTR { return next + row; }, sum);
    a += 2 * args.width;
    b += 2 * args.columns;
  }
  if (k > 0) {
    Step<kRows, kVectors>(
        b, [&](int row) HWY_ATTR { return a + row; }, sum);
  }
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[row][v], tag,
                 sums + row * args.columns + static_cast<std::int64_t>(lanes) * v);
    }
  }
}

using ScoreTileFunction = void (*)(const ScoreArgs&, std::int64_t);
using MixTileFunction = void (*)(const MixArgs&, std::int64_t, std::int64_t);

/// As many rows at a time as the registers hold, evenly.
template <class Run>
HWY_INLINE void RunDown(std::int64_t rows, std::int64_t most, const Run& run) {
  const std::int64_t tiles = (rows + most - 1) / most;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = rows * tile / tiles;
    run(first, static_cast<std::size_t>(rows * (tile + 1) / tiles - first));
  }
}

HWY_INLINE void FetchRows(const Fetch& fetch, std::int64_t first, std::int64_t last) {
  constexpr std::int64_t kLineFloats = 16;
  for (std::int64_t row = first; row < last; ++row) {
    const float* at = fetch.queries + row * fetch.stride;
    for (std::int64_t i = 0; i < fetch.d_head; i += kLineFloats) {
      __builtin_prefetch(at + i, 0, 2);
      __builtin_prefetch(at + fetch.apart + i, 0, 2);
      __builtin_prefetch(at + 2 * fetch.apart + i, 0, 2);
    }
  }
}

template <int kVectors, std::size_t... kRow>
void ScoreDown(const ScoreArgs& args, std::index_sequence<kRow...>) {
  static constexpr ScoreTileFunction kTiles[] = {
      ScoreRows<static_cast<int>(kRow) + 1, kVectors>...};
  RunDown(args.count, MostRows(kVectors), [&](std::int64_t first, std::size_t rows) {
    const std::int64_t last = first + static_cast<std::int64_t>(rows);
    FetchRows(args.fetch, args.fetch.count * first / args.count,
              args.fetch.count * last / args.count);
    kTiles[rows - 1](args, first);
  });
}

template <int kVectors, std::size_t... kRow>
void MixDown(const MixArgs& args, std::int64_t column, std::index_sequence<kRow...>) {
  static constexpr MixTileFunction kTiles[] = {MixRows<static_cast<int>(kRow) + 1, kVectors>...};
  RunDown(args.queries, MostRows(kVectors),
          [&](std::int64_t first, std::size_t rows) { kTiles[rows - 1](args, first, column); });
}

template <int kVectors>
void ScoreVectors(const ScoreArgs& args) {
  ScoreDown<kVectors>(args, std::make_index_sequence<MostRows(kVectors)>());
}

template <int kVectors>
void MixVectors(const MixArgs& args, std::int64_t column) {
  MixDown<kVectors>(args, column, std::make_index_sequence<MostRows(kVectors)>());
}

void Score(const ScoreArgs& args) {
  static constexpr void (*kByVectors[])(const ScoreArgs&) = {
      ScoreVectors<1>, ScoreVectors<2>, ScoreVectors<3>, ScoreVectors<kMostVectors>};
  kByVectors[static_cast<std::size_t>(args.width) / hn::Lanes(Tag()) - 1](args);
}

void Mix(const MixArgs& args) {
  static constexpr void (*kByVectors[])(const MixArgs&, std::int64_t) = {
      MixVectors<1>, MixVectors<2>, MixVectors<3>, MixVectors<kMostVectors>};
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
  const std::int64_t vectors = args.columns / lanes;
  const std::int64_t groups = (vectors + kMostVectors - 1) / kMostVectors;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t first = vectors * group / groups;
    const std::int64_t count = vectors * (group + 1) / groups - first;
    kByVectors[count - 1](args, first * lanes);
  }
}

}  // namespace deformer::attention::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::attention {

HWY_EXPORT(Score);
HWY_EXPORT(Mix);

void score(const ScoreArgs& args) {
  HWY_DYNAMIC_DISPATCH(Score)(args);
}

void mix(const MixArgs& args) {
  HWY_DYNAMIC_DISPATCH(Mix)(args);
}

}  // namespace deformer::attention
#endif  // HWY_ONCE
