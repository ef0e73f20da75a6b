#include "backends/cpu/narrow_amx_attention.hpp"

#include <string_view>

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/narrow_widen_avx512.hpp"
#include "profilers/amx.hpp"

// GCC 12 takes what its own headers leave undefined on purpose for a mistake (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")

namespace deformer::narrow {
namespace {

constexpr std::int64_t kRows = 16;  // of a tile
constexpr std::int64_t kLanes = 16;
constexpr float kLog2E = 1.44269504F;
constexpr std::int64_t kBlockFloats = kRows * kNarrowColumns;
constexpr std::int64_t kProbabilityBytes = kNarrowColumns * 2;
constexpr std::int64_t kContextColumns = 64;
/// Of a panel: the groups of one tile, all columns.
constexpr std::int64_t kTilePairBytes = kLineGroups * kPanelRowBytes;
/// Between these no exponential has overflowed and none that counts was lost.
constexpr float kLeastSum = 0x1p-90F;
constexpr float kMostSum = 0x1p100F;

/// e^scores, 0 where not `kept`: 2^floor(scores log2(e)) times a polynomial in the rest, on [0, 1),
/// fitted for the least relative error. VREDUCEPS and VSCALEFPS take half a cycle each.
[[gnu::always_inline]] inline __m512 exponentials_of(__m512 scores, __mmask16 kept) {
  constexpr int kFloor = 1;
  const __m512 y = _mm512_mul_ps(scores, _mm512_set1_ps(kLog2E));
  const __m512 part = _mm512_reduce_ps(y, kFloor);
  __m512 power = _mm512_set1_ps(7.80245063e-2F);
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(2.26067233e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(6.95833483e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(9.99925226e-1F));
  return _mm512_maskz_scalef_ps(kept, power, y);
}

/// Of one panel of keys, those that exist.
struct Existing {
  __mmask16 low;
  __mmask16 high;
};

/// A block's exponentials, some rows at a time.
struct Exponentials {
  const float* scores = nullptr;
  std::byte* probabilities = nullptr;
  float* sums = nullptr;  ///< [kRows][kLanes]
  Existing kept{};

  template <int kFirst>
  [[gnu::always_inline]] inline void two_rows() const {
#pragma GCC unroll 2
    for (int row = kFirst; row < kFirst + 2; ++row) {
      const float* at = scores + row * kNarrowColumns;
      const __m512 low = exponentials_of(_mm512_load_ps(at), kept.low);
      const __m512 high = exponentials_of(_mm512_load_ps(at + kLanes), kept.high);
      _mm512_store_si512(probabilities + row * kProbabilityBytes,
                         reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
      float* sum = sums + row * kLanes;
      _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(low, high)));
    }
  }
};

struct ScoreProduct {
  const std::byte* queries = nullptr;
  std::int64_t row_bytes = 0;
  const std::byte* keys = nullptr;  ///< a panel
  float* scores = nullptr;
};

struct ValueProduct {
  const std::byte* probabilities = nullptr;
  const std::byte* values = nullptr;  ///< one panel's part for these keys
  std::int64_t panel_bytes = 0;       ///< to the next 32 columns
};

/// Contexts in tiles 0 to 3, scores 4 and 5, left operands 6, right ones 7. All but the last have
/// as many rows as a block has queries.
void configure(std::int64_t rows) {
  constexpr int kRightOperand = 7;
  amx::TileConfig config;
  std::fill_n(config.rows, kRightOperand, static_cast<std::uint8_t>(rows));
  amx::load(config);
}

/// What goes on at the same time, each part unless left out; `kTiles` of 32 elements across a head.
template <int kTiles, bool kScore, bool kExp, bool kMix>
[[gnu::always_inline]] inline void step(const ScoreProduct& score, const Exponentials& exps,
                                        const ValueProduct& mix) {
  if constexpr (kScore) {
    _tile_zero(4);
    _tile_zero(5);
    _tile_loadd(6, score.queries, score.row_bytes);
    _tile_loadd(7, score.keys, kPanelRowBytes);
    _tile_dpbf16ps(4, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<0>();
  if constexpr (kScore) {
    _tile_loadd(7, score.keys + 64, kPanelRowBytes);
    _tile_dpbf16ps(5, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<2>();
  if constexpr (kScore && kTiles == 2) {
    _tile_loadd(6, score.queries + 64, score.row_bytes);
    _tile_loadd(7, score.keys + kTilePairBytes, kPanelRowBytes);
    _tile_dpbf16ps(4, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<4>();
  if constexpr (kScore && kTiles == 2) {
    _tile_loadd(7, score.keys + kTilePairBytes + 64, kPanelRowBytes);
    _tile_dpbf16ps(5, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<6>();
  if constexpr (kMix) {
    _tile_loadd(6, mix.probabilities, kProbabilityBytes);
    _tile_loadd(7, mix.values, kPanelRowBytes);
    _tile_dpbf16ps(0, 6, 7);
  }
  if constexpr (kScore) _tile_stored(4, score.scores, kPanelRowBytes);
  if constexpr (kExp) exps.two_rows<8>();
  if constexpr (kMix) {
    _tile_loadd(7, mix.values + 64, kPanelRowBytes);
    _tile_dpbf16ps(1, 6, 7);
  }
  if constexpr (kScore) _tile_stored(5, score.scores + kLanes, kPanelRowBytes);
  if constexpr (kExp) exps.two_rows<10>();
  if constexpr (kMix && kTiles == 2) {
    _tile_loadd(7, mix.values + mix.panel_bytes, kPanelRowBytes);
    _tile_dpbf16ps(2, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<12>();
  if constexpr (kMix && kTiles == 2) {
    _tile_loadd(7, mix.values + mix.panel_bytes + 64, kPanelRowBytes);
    _tile_dpbf16ps(3, 6, 7);
  }
  if constexpr (kExp) exps.two_rows<14>();
}

/// Where a stage of the pipeline is.
struct Place {
  std::int64_t block = 0;
  std::int64_t panel = 0;
};

/// Walks blocks of queries, and for each all panels of keys, in three stages one step apart.
template <int kTiles>
class Walk {
 public:
  explicit Walk(const TileAttention& args)
      : args_(args),
        panels_((args.tokens + kNarrowColumns - 1) / kNarrowColumns),
        blocks_((args.count + kRows - 1) / kRows),
        rows_((args.count + blocks_ - 1) / blocks_) {
    mix_.panel_bytes = panels_ * kTilePairBytes;
    score_.row_bytes = args.query_row_bytes;
  }

  bool run() {
    configure(rows_);
    std::memset(args_.scores, 0, 2 * kBlockFloats * sizeof(float));  // rows there may be too few of
    const std::int64_t steps = blocks_ * panels_;
    enter_score(0);
    step<kTiles, true, false, false>(score_, exps_, mix_);
    if (steps == 1) {
      enter_exponentials(0);
      step<kTiles, false, true, false>(score_, exps_, mix_);
    } else {
      enter_score(1);
      enter_exponentials(0);
      step<kTiles, true, true, false>(score_, exps_, mix_);
      for (std::int64_t at = 1; at + 1 < steps && good_; ++at) {
        enter_score(at + 1);
        enter_exponentials(at);
        enter_mix(at - 1);
        step<kTiles, true, true, true>(score_, exps_, mix_);
        leave_mix();
        fetch_next(steps - 2);
      }
      if (!good_) {
        return false;  // whoever calls does all rows again: one more block would be for nothing
      }
      enter_exponentials(steps - 1);
      enter_mix(steps - 2);
      step<kTiles, false, true, true>(score_, exps_, mix_);
      leave_mix();
    }
    enter_mix(steps - 1);
    step<kTiles, false, false, true>(score_, exps_, mix_);
    leave_mix();
    return good_;
  }

 private:
  /// Blocks have as many rows each; the last ones overlap where there are too few.
  std::int64_t first_query(std::int64_t block) const {
    return std::min(block * rows_, args_.count - rows_);
  }
  void advance(Place& place) const {
    if (++place.panel == panels_) {
      place = {place.block + 1, 0};
    }
  }

  [[gnu::always_inline]] inline void enter_score(std::int64_t at) {
    score_.queries = args_.queries + first_query(scored_.block) * args_.query_row_bytes;
    score_.keys = args_.keys + scored_.panel * kTiles * kTilePairBytes;
    score_.scores = args_.scores + at % 2 * kBlockFloats;
    advance(scored_);
  }

  [[gnu::always_inline]] inline void enter_exponentials(std::int64_t at) {
    const std::int64_t left = args_.tokens - raised_.panel * kNarrowColumns;
    const std::uint32_t kept = left >= 32 ? ~0U : (1U << left) - 1;
    exps_.kept = {static_cast<__mmask16>(kept & 0xFFFFU), static_cast<__mmask16>(kept >> 16)};
    exps_.scores = args_.scores + at % 2 * kBlockFloats;
    exps_.probabilities = args_.probabilities + at % 2 * kRows * kProbabilityBytes;
    exps_.sums = sums_[raised_.block % 2];
    if (raised_.panel == 0) {
      std::memset(exps_.sums, 0, sizeof sums_[0]);
    }
    advance(raised_);
  }

  [[gnu::always_inline]] inline void enter_mix(std::int64_t at) {
    mix_.probabilities = args_.probabilities + at % 2 * kRows * kProbabilityBytes;
    mix_.values = args_.values + mixed_.panel * kTilePairBytes;
    if (mixed_.panel == 0) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
  }

  [[gnu::always_inline]] inline void leave_mix() {
    constexpr std::int64_t kContextRowBytes = kContextColumns * 4;
    if (mixed_.panel == panels_ - 1) {
      _tile_stored(0, args_.context, kContextRowBytes);
      _tile_stored(1, args_.context + kLanes, kContextRowBytes);
      if constexpr (kTiles == 2) {
        _tile_stored(2, args_.context + 2 * kLanes, kContextRowBytes);
        _tile_stored(3, args_.context + 3 * kLanes, kContextRowBytes);
      }
      finish(mixed_.block);
    }
    advance(mixed_);
  }

  /// Some rows of what comes after this, so many that all `steps` bring them all. (Of two or fewer
  /// steps there are none in which all three stages run, and nothing is fetched.)
  [[gnu::always_inline]] inline void fetch_next(std::int64_t steps) {
    for (rows_due_ += args_.next_count; rows_due_ >= steps; rows_due_ -= steps) {
      const std::byte* first = args_.next + fetched_++ * args_.query_row_bytes;
      for (std::int64_t matrix = 0; matrix < 3; ++matrix) {
        const std::byte* row = first + matrix * args_.next_matrix_bytes;
        __builtin_prefetch(row, 0, 2);
        if constexpr (kTiles == 2) {
          __builtin_prefetch(row + 64, 0, 2);
        }
      }
    }
  }

  /// Contexts over their rows' sums -> bf16.
  void finish(std::int64_t block) {
    std::byte* out = args_.out + first_query(block) * args_.out_row_bytes;
    for (std::int64_t row = 0; row < rows_; ++row) {
      const float sum = _mm512_reduce_add_ps(_mm512_load_ps(sums_[block % 2] + row * kLanes));
      good_ = good_ && sum > kLeastSum && sum < kMostSum;
      const __m512 factor = _mm512_set1_ps(1.0F / sum);
      const float* from = args_.context + row * kContextColumns;
      for (std::int64_t column = 0; column < args_.d_head; column += kNarrowColumns) {
        const std::int64_t left = args_.d_head - column;
        const __mmask32 exist = left >= 32 ? ~__mmask32{0} : (1U << left) - 1;
        const __m512 low = _mm512_mul_ps(_mm512_load_ps(from + column), factor);
        const __m512 high = _mm512_mul_ps(_mm512_load_ps(from + column + kLanes), factor);
        _mm512_mask_storeu_epi16(out + row * args_.out_row_bytes + column * 2, exist,
                                 reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
      }
    }
  }

  const TileAttention& args_;
  std::int64_t panels_;
  std::int64_t blocks_;
  std::int64_t rows_;  ///< of each block
  Place scored_;
  Place raised_;
  Place mixed_;
  ScoreProduct score_;
  Exponentials exps_;
  ValueProduct mix_;
  bool good_ = true;
  std::int64_t rows_due_ = 0;                  ///< to be fetched, times the steps there are
  std::int64_t fetched_ = 0;                   ///< rows
  alignas(64) float sums_[2][kRows * kLanes];  ///< of this block and the next
};

}  // namespace

bool has_tile_attention(const NarrowTiles& set, std::int64_t d_head) {
  return std::string_view(set.isa) == "amx_bf16" && has_bf16_vectors() && d_head <= kContextColumns;
}

bool attend_by_tiles(const TileAttention& args) {
  return args.d_head > kNarrowColumns ? Walk<2>(args).run() : Walk<1>(args).run();
}

void tile_exponentials(const float* scores, float* out) {
  _mm512_storeu_ps(out, exponentials_of(_mm512_loadu_ps(scores), static_cast<__mmask16>(0xFFFF)));
}

}  // namespace deformer::narrow

#pragma GCC pop_options

#else

namespace deformer::narrow {

bool has_tile_attention(const NarrowTiles&, std::int64_t) {
  return false;
}
bool attend_by_tiles(const TileAttention&) {
  return false;
}
void tile_exponentials(const float*, float*) {}

}  // namespace deformer::narrow

#endif
