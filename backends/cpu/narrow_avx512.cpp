// Products by AVX512_BF16 and AVX512_VNNI: twelve rows by two vectors of sums in registers. Each
// group of the left operand is broadcast as the multiplication reads it.

#if defined(__x86_64__)

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

/// The fetches that are due at one of a step's groups: one stream's, of one line or every other.
[[gnu::always_inline]] inline void fetch_at(const NarrowArgs& args, std::int64_t group) {
  constexpr std::int64_t kStreams = NarrowArgs::kPrefetchStreams;
  const std::int64_t step = group / kLineGroups;
  const std::int64_t turn = group % kLineGroups;
  const std::byte* from = args.prefetch + turn % kStreams * args.prefetch_stride;
  for (std::int64_t line = turn / kStreams; line < args.prefetch_lines;
       line += kLineGroups / kStreams) {
    __builtin_prefetch(from + (step * args.prefetch_lines + line) * 64, 0, 2);
  }
}

template <bool kBf16, int kRows>
void multiply_rows(const NarrowArgs& args) {
  auto* out = static_cast<std::byte*>(args.sums);
  __m512i sums[kRows][2];
#pragma GCC unroll 12
  for (int row = 0; row < kRows; ++row) {
    sums[row][0] =
        args.add ? _mm512_load_si512(out + row * kPanelRowBytes) : _mm512_setzero_si512();
    sums[row][1] =
        args.add ? _mm512_load_si512(out + row * kPanelRowBytes + 64) : _mm512_setzero_si512();
  }
  const std::byte* b = args.b;
  for (std::int64_t group = 0; group < args.groups; ++group) {
    const __m512i b0 = _mm512_load_si512(b);
    const __m512i b1 = _mm512_load_si512(b + 64);
    if (args.prefetch != nullptr) {
      fetch_at(args, group);
    }
    const std::byte* a = args.a + group * kGroupBytes;
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

template <bool kBf16>
void multiply(const NarrowArgs& args) {
  write_due(args);
  using Loop = void (*)(const NarrowArgs&);
  static constexpr Loop kLoops[kMostRows + 1] = {nullptr,
                                                 multiply_rows<kBf16, 1>,
                                                 multiply_rows<kBf16, 2>,
                                                 multiply_rows<kBf16, 3>,
                                                 multiply_rows<kBf16, 4>,
                                                 multiply_rows<kBf16, 5>,
                                                 multiply_rows<kBf16, 6>,
                                                 multiply_rows<kBf16, 7>,
                                                 multiply_rows<kBf16, 8>,
                                                 multiply_rows<kBf16, 9>,
                                                 multiply_rows<kBf16, 10>,
                                                 multiply_rows<kBf16, 11>,
                                                 multiply_rows<kBf16, 12>};
  const std::int64_t pieces = (args.rows + kMostRows - 1) / kMostRows;
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t first = args.rows * piece / pieces;
    const std::int64_t count = args.rows * (piece + 1) / pieces - first;
    NarrowArgs part = args;
    part.a += first * args.a_row_bytes;
    part.sums = static_cast<std::byte*>(args.sums) + first * kPanelRowBytes;
    if (piece > 0) {
      part.prefetch = nullptr;
    }
    kLoops[count](part);
  }
}

}  // namespace

NarrowTiles avx512_bf16() {
  return {"avx512_bf16", DType::bf16, 0, nothing, nothing, multiply<true>};
}

NarrowTiles avx512_vnni() {
  return {"avx512_vnni", DType::int8, 127, nothing, nothing, multiply<false>};
}

}  // namespace deformer::narrow

#endif
