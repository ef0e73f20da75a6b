// Products by AVX512_BF16 and AVX512_VNNI: twelve rows by two vectors of sums in registers. Each
// group of the left operand is broadcast as the multiplication reads it.

#if defined(__x86_64__)

#include "backends/cpu/caches.hpp"
#include "backends/cpu/narrow_tile_loops.hpp"

#include <immintrin.h>

#include <cstring>

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")

namespace deformer::narrow {
namespace {

constexpr int kMostRows = 12;

std::int32_t group_at(const std::byte* bytes) {
  std::int32_t group = 0;
  std::memcpy(&group, bytes, sizeof group);
  return group;
}

template <bool kBf16>
[[gnu::always_inline]] inline void multiply_add(__m512i& sum, __m512i a, __m512i b) {
  if constexpr (kBf16) {
    sum = _mm512_castps_si512(_mm512_dpbf16_ps(
        _mm512_castsi512_ps(sum), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
  } else {
    sum = _mm512_dpbusd_epi32(sum, a, b);
  }
}

/// Which of a block's pieces of rows this is: they share what is to be fetched. The first alone
/// asked for all of it before, faster than memory gives it, and the others for nothing (bert-base's
/// products at 27 rows, bf16, two cores of a Zen 5: 700 GFLOP/s, shared 807).
struct Piece {
  std::int64_t index;
  std::int64_t count;
  std::int64_t first_row;
};

/// A piece's part of what is to be fetched, a run of lines, some at each of its groups. Into the
/// first level, which is 3 % faster there than into the second. A pointer that moves: where each
/// line's address was computed anew, 7 % of the products' time went into that.
class FetchInOrder {
 public:
  FetchInOrder(const NarrowArgs& args, const Piece& piece) {
    const FetchedRun run = args.fetched_run(piece.index, piece.count);
    const std::int64_t lines = run.last - run.first;
    next_ = args.prefetch + run.first * kLineBytes;
    end_ = next_ + lines * kLineBytes;
    a_group_ = lines <= args.groups ? 1 : (lines + args.groups - 1) / args.groups;
  }
  [[gnu::always_inline]] inline void at(std::int64_t) {
    for (std::int64_t i = 0; i < a_group_ && next_ < end_; ++i) {
      __builtin_prefetch(next_, 0, 3);
      next_ += kLineBytes;
    }
  }

 private:
  const std::byte* next_;
  const std::byte* end_;
  std::int64_t a_group_;
};

/// The same from all streams in turns.
class FetchStreams {
 public:
  FetchStreams(const NarrowArgs& args, const Piece& piece)
      : args_(args), piece_(piece), lines_(args.prefetch == nullptr ? 0 : args.fetched_lines()) {}
  [[gnu::always_inline]] inline void at(std::int64_t group) {
    for (std::int64_t line = group % kLineGroups * piece_.count + piece_.index; line < lines_;
         line += kLineGroups * piece_.count) {
      __builtin_prefetch(args_.fetched(group / kLineGroups, line), 0, 2);
    }
  }

 private:
  const NarrowArgs& args_;
  const Piece& piece_;
  std::int64_t lines_;
};

template <bool kBf16, class Fetch, int kRows>
void multiply_rows(const NarrowArgs& args, const Piece& piece) {
  std::byte* out = static_cast<std::byte*>(args.sums) + piece.first_row * kPanelRowBytes;
  const std::byte* rows = args.a + piece.first_row * args.a_row_bytes;
  __m512i sums[kRows][2];
#pragma GCC unroll 12
  for (int row = 0; row < kRows; ++row) {
    sums[row][0] =
        args.add ? _mm512_load_si512(out + row * kPanelRowBytes) : _mm512_setzero_si512();
    sums[row][1] =
        args.add ? _mm512_load_si512(out + row * kPanelRowBytes + 64) : _mm512_setzero_si512();
  }
  const std::byte* b = args.b;
  Fetch fetch(args, piece);
  for (std::int64_t group = 0; group < args.groups; ++group) {
    const __m512i b0 = _mm512_load_si512(b);
    const __m512i b1 = _mm512_load_si512(b + 64);
    fetch.at(group);
    const std::byte* a = rows + group * kGroupBytes;
#pragma GCC unroll 12
    for (int row = 0; row < kRows; ++row) {
      const __m512i broadcast = _mm512_set1_epi32(group_at(a + row * args.a_row_bytes));
      multiply_add<kBf16>(sums[row][0], broadcast, b0);
      multiply_add<kBf16>(sums[row][1], broadcast, b1);
    }
    b += kPanelRowBytes;
  }
#pragma GCC unroll 12
  for (int row = 0; row < kRows; ++row) {
    _mm512_store_si512(out + row * kPanelRowBytes, sums[row][0]);
    _mm512_store_si512(out + row * kPanelRowBytes + 64, sums[row][1]);
  }
}

template <bool kBf16, class Fetch>
void multiply(const NarrowArgs& args) {
  write_due(args);
  using Loop = void (*)(const NarrowArgs&, const Piece&);
  static constexpr Loop kLoops[kMostRows + 1] = {nullptr,
                                                 multiply_rows<kBf16, Fetch, 1>,
                                                 multiply_rows<kBf16, Fetch, 2>,
                                                 multiply_rows<kBf16, Fetch, 3>,
                                                 multiply_rows<kBf16, Fetch, 4>,
                                                 multiply_rows<kBf16, Fetch, 5>,
                                                 multiply_rows<kBf16, Fetch, 6>,
                                                 multiply_rows<kBf16, Fetch, 7>,
                                                 multiply_rows<kBf16, Fetch, 8>,
                                                 multiply_rows<kBf16, Fetch, 9>,
                                                 multiply_rows<kBf16, Fetch, 10>,
                                                 multiply_rows<kBf16, Fetch, 11>,
                                                 multiply_rows<kBf16, Fetch, 12>};
  // `args` is not copied for each piece: that would wait for stores before it (NarrowLinear).
  const auto rows = static_cast<std::uint32_t>(args.rows);
  const std::uint32_t pieces = (rows + kMostRows - 1) / kMostRows;
  std::uint32_t first = 0;
  for (std::uint32_t piece = 0; piece < pieces; ++piece) {
    const std::uint32_t last = rows * (piece + 1) / pieces;
    kLoops[last - first](args, {piece, pieces, first});
    first = last;
  }
}

template <bool kBf16>
NarrowTiles tiles(const char* isa, DType dtype, int most_weight) {
  const bool in_order = fetch_weights_in_order();
  NarrowTiles set{
      isa,     dtype,   most_weight,
      nothing, nothing, in_order ? multiply<kBf16, FetchInOrder> : multiply<kBf16, FetchStreams>};
  set.fetches_in_order = in_order;
  return set;
}

}  // namespace

NarrowTiles avx512_bf16() {
  return tiles<true>("avx512_bf16", DType::bf16, 0);
}

NarrowTiles avx512_vnni() {
  return tiles<false>("avx512_vnni", DType::int8, 127);
}

}  // namespace deformer::narrow

#endif
