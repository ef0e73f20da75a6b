#include "backends/cpu/tiles.hpp"

#include <cstddef>
#include <utility>

// Nothing differs below between these and their neighbours; leaving them out halves the compile.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tiles.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "backends/cpu/multiply_add-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace deformer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kRows, int kVectors>
HWY_INLINE void Finish(const TileArgs& args, Vector (&sum)[kRows][kVectors]) {
  const Tag tag;
  const std::size_t lanes = hn::Lanes(tag);
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    float* c = args.c + row * args.c_row;
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      const std::size_t column = static_cast<std::size_t>(v) * lanes;
      Vector value = sum[row][v];
      if (args.add) {
        value = hn::Add(value, hn::LoadU(tag, c + column));
      }
      if (args.bias != nullptr) {
        value = hn::Add(value, hn::LoadU(tag, args.bias + column));
      }
      hn::StoreU(value, tag, c + column);
    }
  }
}

/// One loop with a countdown to the next prefetch: two loops, one in the other, kept their counters
/// in memory (155 instead of 151 ms for bert-base's products at 320 rows, Sapphire Rapids).
template <int kRows, int kVectors>
HWY_INLINE void Accumulate(const TileArgs& args, Vector (&sum)[kRows][kVectors]) {
  const Tag tag;
  const std::size_t lanes = hn::Lanes(tag);
  const float* a = args.a;
  const float* b = args.b;
  const float* line = args.prefetch;
  std::int64_t until = line == nullptr ? -1 : 1;  // steps left to the next prefetch; never
  for (std::int64_t k = args.k; k > 0; --k) {
    if (--until == 0) {
      until = args.prefetch_every;
      DEFORMER_UNROLL for (int stream = 0; stream < TileArgs::kPrefetchStreams; ++stream) {
        __builtin_prefetch(line + stream * args.prefetch_stride, 0, 2);
      }
      line += args.prefetch_step;
    }
    Vector columns[kVectors];
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      columns[v] = hn::LoadU(tag, b + static_cast<std::size_t>(v) * lanes);
    }
    DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
      const Vector broadcast = hn::Set(tag, a[row * args.a_row]);
      DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
        MultiplyAdd(sum[row][v], broadcast, columns[v]);
      }
    }
    a += args.a_k;
    b += args.b_k;
  }
}

template <int kRows, int kVectors>
void RunTile(const TileArgs& shared) {
  const TileArgs args = shared;  // what is written to C can't change it, so no field is read twice
  const Tag tag;
  Vector sum[kRows][kVectors];
  DEFORMER_UNROLL for (int row = 0; row < kRows; ++row) {
    DEFORMER_UNROLL for (int v = 0; v < kVectors; ++v) {
      sum[row][v] = hn::Zero(tag);
    }
  }
  Accumulate<kRows, kVectors>(args, sum);
  Finish<kRows, kVectors>(args, sum);
}

constexpr int MostRows(int vectors) {
  return TileRows(vectors, TileSet::kMostRows);
}

template <int kVectors, std::size_t... kRow>
void FillVectors(TileSet& set, std::index_sequence<kRow...>) {
  set.most_rows[kVectors] = MostRows(kVectors);
  ((set.tile[kVectors][kRow + 1] = RunTile<static_cast<int>(kRow) + 1, kVectors>), ...);
}

TileSet MakeTiles() {
  TileSet set{};
  set.isa = hwy::TargetName(HWY_TARGET);
  set.lanes = static_cast<int>(hn::Lanes(Tag()));
  set.panel_vectors = 3;
  FillVectors<1>(set, std::make_index_sequence<MostRows(1)>());
  FillVectors<2>(set, std::make_index_sequence<MostRows(2)>());
  FillVectors<3>(set, std::make_index_sequence<MostRows(3)>());
  FillVectors<4>(set, std::make_index_sequence<MostRows(4)>());
  return set;
}

const TileSet* Tiles() {
  static const TileSet set = MakeTiles();
  return &set;
}

}  // namespace deformer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer {

HWY_EXPORT(Tiles);

const TileSet& tiles() {
  return *HWY_DYNAMIC_DISPATCH(Tiles)();
}

}  // namespace deformer
#endif  // HWY_ONCE
