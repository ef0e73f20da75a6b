// 8-bit products by 256-bit vectors: AVX_VNNI, or plain AVX2, which multiplies bytes into 16-bit
// pairs that saturate (hence the limit on weights) and widens them by a product with ones.

#if defined(__x86_64__)

#include "backends/cpu/narrow_tile_loops.hpp"

#include <immintrin.h>

#include <cstring>

#pragma GCC target("avx2,avxvnni")

namespace deformer::narrow {
namespace {

constexpr int kMostRows = 3;
constexpr int kVectors = 4;  // across a panel
constexpr std::int64_t kPanelRowBytes = kNarrowColumns * kGroupBytes;

void nothing() {}

/// The registers are full: other work comes before, not in between.
void do_meanwhile(const NarrowArgs& args) {
  for (std::int64_t step = 0; args.meanwhile != nullptr && step < args.steps(); ++step) {
    args.meanwhile(args.context, step);
  }
}

template <bool kVnni>
[[gnu::always_inline]] inline void multiply_add(__m256i& sum, __m256i a, const __m256i* b) {
  if constexpr (kVnni) {
    sum = _mm256_dpbusd_avx_epi32(sum, a, _mm256_load_si256(b));
  } else {
    const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_load_si256(b));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
}

template <bool kVnni, int kRows>
void multiply_rows(const NarrowArgs& args) {
  auto* out = static_cast<std::byte*>(args.sums);
  const auto at = [&](int row, int vector) {
    return reinterpret_cast<__m256i*>(out + row * kPanelRowBytes + vector * 32);
  };
  __m256i sums[kRows][kVectors];
#pragma GCC unroll 4
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sums[row][v] = args.add ? _mm256_load_si256(at(row, v)) : _mm256_setzero_si256();
    }
  }
  const std::byte* b = args.b;
  for (std::int64_t group = 0; group < args.groups; ++group) {
    const std::byte* a = args.a + group * kGroupBytes;
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row) {
      std::int32_t four = 0;
      std::memcpy(&four, a + row * args.a_row_bytes, sizeof four);
      const __m256i broadcast = _mm256_set1_epi32(four);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        multiply_add<kVnni>(sums[row][v], broadcast, reinterpret_cast<const __m256i*>(b + v * 32));
      }
    }
    b += kPanelRowBytes;
  }
#pragma GCC unroll 4
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      _mm256_store_si256(at(row, v), sums[row][v]);
    }
  }
}

/// Fetches the lines that the whole block is to fetch, before it starts: two loads a group leave no
/// better place.
void fetch(const NarrowArgs& args) {
  const std::int64_t lines = args.groups / kLineGroups * args.prefetch_lines;
  for (std::int64_t line = 0; args.prefetch != nullptr && line < lines; ++line) {
    __builtin_prefetch(args.prefetch + line * 64, 0, 2);
  }
}

template <bool kVnni>
void multiply(const NarrowArgs& args) {
  do_meanwhile(args);
  fetch(args);
  NarrowArgs part = args;
  for (std::int64_t row = 0; row < args.rows; row += kMostRows) {
    part.a = args.a + row * args.a_row_bytes;
    part.sums = static_cast<std::byte*>(args.sums) + row * kPanelRowBytes;
    switch (args.rows - row) {
      case 1:
        multiply_rows<kVnni, 1>(part);
        break;
      case 2:
        multiply_rows<kVnni, 2>(part);
        break;
      default:
        multiply_rows<kVnni, kMostRows>(part);
        break;
    }
  }
}

}  // namespace

NarrowTiles avx_vnni() {
  return {"avx_vnni", DType::int8, 127, nothing, nothing, multiply<true>};
}

NarrowTiles avx2() {
  return {"avx2", DType::int8, 64, nothing, nothing, multiply<false>};
}

}  // namespace deformer::narrow

#endif
