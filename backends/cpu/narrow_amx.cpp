// Products by AMX: a block of 32 x 32 sums in four tiles, each fed by half of the rows and half of
// the panel's columns, so that every tile that is loaded takes part in two multiplications. A
// multiplication of full tiles takes 16 cycles and loading a tile from the first-level cache 8
// (Intel, Optimization Reference Manual, "Intel AMX"): four of each keep the multiplier busy.

#if defined(__x86_64__)

#include "backends/cpu/narrow_tile_loops.hpp"

#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "backends/cpu/amx_block.hpp"
#include "backends/cpu/narrow_widen_avx512.hpp"
#include "profilers/amx.hpp"

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,amx-int8,prfchw")

#include "backends/cpu/narrow_due_avx512-inl.hpp"

namespace deformer::narrow {
namespace {

using amx::kTileRows;
constexpr std::int64_t kTileBytes = 64;  // across
constexpr std::int64_t kMostGroups = 24 * kLineGroups;

void begin() {
  amx::configured_rows = 0;
}

void end() {
  _tile_release();
  amx::configured_rows = 0;
}

template <bool kBf16>
[[gnu::always_inline]] inline void multiply_upper() {
  if constexpr (kBf16) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  } else {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
  }
}

template <bool kBf16>
[[gnu::always_inline]] inline void multiply_lower() {
  if constexpr (kBf16) {
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  } else {
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

/// Steps of a panel (2 KiB each) that stay in the first-level cache (48 KiB) while all rows of a
/// block go by; later ones are read past it, as the rows are. If all of a pass of 24 were to stay,
/// none would: 2.6 TFLOP/s a core, with 16 to 20 of them 3.2 to 3.3, Sapphire Rapids.
constexpr std::int64_t kStayingSteps = 18;

/// Where the next step reads.
struct Reader {
  const std::byte* a;
  const std::byte* a_lower;
  const std::byte* b;
  const std::byte* prefetch;
  const std::byte* results;
  std::int64_t rows_due;  ///< of results, times the steps there are
  std::int64_t step;
};

/// Results are fetched evenly over the steps: their writes otherwise wait for the third-level cache
/// one by one, and tiles of sums wait behind them.
[[gnu::always_inline]] inline void fetch_results(const NarrowArgs& args, Reader& at,
                                                 std::int64_t steps) {
  for (at.rows_due += args.rows; at.rows_due >= steps; at.rows_due -= steps) {
    for (std::int64_t line = 0; line < args.result_lines; ++line) {
      __builtin_prefetch(at.results + line * kTileBytes, 1, 2);
    }
    at.results += args.result_row_bytes;
  }
}

/// Tiles are numbers in instructions, so this can't be a function of one.
#define DEFORMER_LOAD_RIGHT(tile, from)                 \
  do {                                                  \
    if constexpr (kStays) {                             \
      _tile_loadd(tile, (from), kPanelRowBytes);        \
    } else {                                            \
      _tile_stream_loadd(tile, (from), kPanelRowBytes); \
    }                                                   \
  } while (false)

/// Steps up to `last`. Rows are loaded as what is not needed again soon, so that the panel keeps
/// its place in the first-level cache (4.0 instead of 3.5 TFLOP/s at 320 x 2304 x 768, two cores,
/// results left out).
template <bool kBf16, bool kLower, bool kStays, class Due>
[[gnu::always_inline]] inline void run_steps(const NarrowArgs& args, Reader& at, Due& due,
                                             std::int64_t last) {
  const std::int64_t lines = at.prefetch == nullptr ? 0 : args.prefetch_lines;
  const std::int64_t steps = args.steps();
  for (; at.step < last; ++at.step) {
    DEFORMER_LOAD_RIGHT(6, at.b);
    _tile_stream_loadd(4, at.a, args.a_row_bytes);
    DEFORMER_LOAD_RIGHT(7, at.b + kTileBytes);
    multiply_upper<kBf16>();
    if constexpr (kLower) {
      _tile_stream_loadd(5, at.a_lower, args.a_row_bytes);
      multiply_lower<kBf16>();
    }
    for (std::int64_t line = 0; line < lines; ++line) {
      for (std::int64_t stream = 0; stream < NarrowArgs::kPrefetchStreams; ++stream) {
        __builtin_prefetch(at.prefetch + stream * args.prefetch_stride, 0, 2);
      }
      at.prefetch += kTileBytes;
    }
    if (args.results != nullptr) {
      fetch_results(args, at, steps);
    }
    due.step();
    at.a += kTileBytes;
    at.a_lower += kTileBytes;
    at.b += kLineGroups * kPanelRowBytes;
  }
}

#undef DEFORMER_LOAD_RIGHT

template <bool kBf16, bool kLower, class Due>
[[gnu::always_inline]] inline void accumulate(const NarrowArgs& args, std::int64_t upper_rows) {
  Reader at{args.a, args.a + upper_rows * args.a_row_bytes, args.b, args.prefetch, args.results, 0,
            0};
  const std::int64_t steps = args.steps();
  Due due(args.due, steps);
  run_steps<kBf16, kLower, true>(args, at, due, std::min(steps, kStayingSteps));
  run_steps<kBf16, kLower, false>(args, at, due, steps);
}

template <bool kBf16, class Due>
void multiply_and_write(const NarrowArgs& args) {
  amx::configure_block(args.rows);
  const bool lower = args.rows > kTileRows;
  const std::int64_t upper_rows = lower ? (args.rows + 1) / 2 : args.rows;
  auto* sums = static_cast<std::byte*>(args.sums);
  std::byte* sums_lower = sums + upper_rows * kPanelRowBytes;
  if (args.add) {
    _tile_loadd(0, sums, kPanelRowBytes);
    _tile_loadd(1, sums + kTileBytes, kPanelRowBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
  }
  if (lower && args.add) {
    _tile_loadd(2, sums_lower, kPanelRowBytes);
    _tile_loadd(3, sums_lower + kTileBytes, kPanelRowBytes);
  } else {
    _tile_zero(2);
    _tile_zero(3);
  }
  if (lower) {
    accumulate<kBf16, true, Due>(args, upper_rows);
    _tile_stored(2, sums_lower, kPanelRowBytes);
    _tile_stored(3, sums_lower + kTileBytes, kPanelRowBytes);
  } else {
    accumulate<kBf16, false, Due>(args, upper_rows);
  }
  _tile_stored(0, sums, kPanelRowBytes);
  _tile_stored(1, sums + kTileBytes, kPanelRowBytes);
}

template <bool kBf16>
void multiply(const NarrowArgs& args) {
  using Sums = std::conditional_t<kBf16, avx512::FloatSums, avx512::IntegerSums>;
  due::choose<Sums>(
      args.due, [&]<class Due>(std::type_identity<Due>) { multiply_and_write<kBf16, Due>(args); });
}

}  // namespace

NarrowTiles amx_bf16() {
  return {"amx_bf16", DType::bf16, 0, begin, end, multiply<true>, kMostGroups};
}

NarrowTiles amx_int8() {
  return {"amx_int8", DType::int8, 127, begin, end, multiply<false>, kMostGroups};
}

}  // namespace deformer::narrow

#endif
