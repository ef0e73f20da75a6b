#pragma once
/// 8-bit products by 256-bit vectors: three rows by four vectors of sums in registers. To be
/// included by one source file for each way of multiplying, behind the pragma that allows its
/// instructions: everything here is that file's own, compiled for what that file may use and no
/// more.
///
/// MultiplyAdd::run(sum, groups, address of groups): sum += the groups' products.

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/narrow_tile_loops.hpp"

namespace deformer::narrow {
namespace {

constexpr int kMostRows = 3;
constexpr int kVectors = 4;  // across a panel

template <class MultiplyAdd, int kRows>
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
        MultiplyAdd::run(sums[row][v], broadcast, reinterpret_cast<const __m256i*>(b + v * 32));
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

/// Fetches the share of a block's lines that falls to its rows from `row` on, before they start:
/// two loads a group leave no better place. They are a run (NarrowTiles::fetches_in_order).
void fetch(const NarrowArgs& args, std::int64_t row) {
  const FetchedRun run = args.fetched_run(row / kMostRows, (args.rows + kMostRows - 1) / kMostRows);
  for (std::int64_t line = run.first; line < run.last; ++line) {
    __builtin_prefetch(args.prefetch + line * kLineBytes, 0, 2);
  }
}

template <class MultiplyAdd>
void multiply(const NarrowArgs& args) {
  write_due(args);
  NarrowArgs part = args;
  for (std::int64_t row = 0; row < args.rows; row += kMostRows) {
    fetch(args, row);
    part.a = args.a + row * args.a_row_bytes;
    part.sums = static_cast<std::byte*>(args.sums) + row * kPanelRowBytes;
    switch (args.rows - row) {
      case 1:
        multiply_rows<MultiplyAdd, 1>(part);
        break;
      case 2:
        multiply_rows<MultiplyAdd, 2>(part);
        break;
      default:
        multiply_rows<MultiplyAdd, kMostRows>(part);
        break;
    }
  }
}

}  // namespace
}  // namespace deformer::narrow
