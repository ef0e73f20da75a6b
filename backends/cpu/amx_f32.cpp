#include "backends/cpu/amx_f32.hpp"

#include <algorithm>

#include "backends/cpu/amx_block.hpp"
#include "profilers/amx.hpp"

namespace deformer::amx_f32 {
namespace {

bool is_allowed = true;

bool usable() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return amx::usable() && __builtin_cpu_supports("amx-bf16") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

bool use() {
  static const bool found = usable();
  return found && is_allowed;
}

void allow(bool allowed) {
  is_allowed = allowed;
}

}  // namespace deformer::amx_f32

#if defined(__x86_64__)

#include "backends/cpu/three_parts.hpp"

#pragma GCC target("avx512f,avx512bw,avx512vl,amx-tile,amx-bf16")

namespace deformer::amx_f32 {
namespace {

using amx::kTileRows;
constexpr std::int64_t kTileBytes = 1024;
constexpr std::int64_t kTileRowBytes = 64;
constexpr std::int64_t kPanelPartBytes = 2 * kTileBytes;  ///< left and right columns, one step
/// Parts lie in the order in which run_steps reads those of the rows.
constexpr std::int64_t kLow = 0;
constexpr std::int64_t kMiddle = 1;
constexpr std::int64_t kHigh = 2;
/// Pairs of rows of a panel in one step: a tile's rows.
constexpr std::int64_t kStepPairs = kStepInner / 2;

void store(const three_parts::Parts& parts, std::byte* to, std::int64_t part_bytes) {
  _mm512_store_si512(to + kLow * part_bytes, parts.low);
  _mm512_store_si512(to + kMiddle * part_bytes, parts.middle);
  _mm512_store_si512(to + kHigh * part_bytes, parts.high);
}

constexpr std::int64_t kLine = 16;  // floats
constexpr std::int64_t kPairFloats = 2 * kColumns;
constexpr std::int64_t kPairLines = kPairFloats / kLine;

/// What a Splitter fetches beside each pair of rows: its four cache lines into the first-level
/// cache kNear floats before they are read and, with the panel before, into the second, as a line
/// of each of four streams. All misses share the core's 16 line buffers, and a line from memory
/// keeps one longest: a single far stream took 17.6 ms for bert-base's products at 27 rows (2
/// threads, Sapphire Rapids), four 15.7, eight 16.2, four and the near one 14.5; the near one alone
/// 18.6.
struct NextPanel {
  const float* from = nullptr;  ///< of the same steps as those that are split; may be null
  std::int64_t stream = 0;      ///< floats of one stream

  [[gnu::always_inline]] void fetch(const float* pair, std::int64_t index) const {
    constexpr std::int64_t kNear = 1024;
    for (std::int64_t line = 0; line < kPairLines; ++line) {
      __builtin_prefetch(pair + kNear + line * kLine, 0, 3);
      if (from != nullptr) {
        __builtin_prefetch(from + line * stream + index * kLine, 0, 2);
      }
    }
  }
};

/// Or what the thread reads some pages later.
struct Streamed {
  WeightStream stream;
  std::int64_t line = 0;  ///< of the stream, where the steps begin

  [[gnu::always_inline]] void fetch(const float* /*pair*/, std::int64_t index) const {
    for (std::int64_t i = 0; i < kPairLines; ++i) {
      __builtin_prefetch(stream.fetched(line + index * kPairLines + i), 0, 2);
    }
  }
};

/// Splits some steps of a panel, a pair of rows at a time, between the multiplications.
template <class Fetch>
class Splitter {
 public:
  Splitter() = default;
  Splitter(const float* from, std::int64_t steps, std::byte* to, const Fetch& fetch)
      : from_(from), to_(to), pairs_(steps * kStepPairs), fetch_(fetch) {}

  [[gnu::always_inline]] void advance(std::int64_t count) {
    const std::int64_t last = std::min(pair_ + count, pairs_);
    for (; pair_ < last; ++pair_) {
      std::byte* to =
          to_ + pair_ / kStepPairs * kPanelStepBytes + pair_ % kStepPairs * kTileRowBytes;
      const float* even = from_ + pair_ * kPairFloats;
      const float* odd = even + kColumns;
      store(three_parts::split_pairs(_mm512_load_ps(even), _mm512_load_ps(odd)), to,
            kPanelPartBytes);
      store(three_parts::split_pairs(_mm512_load_ps(even + kLine), _mm512_load_ps(odd + kLine)),
            to + kTileBytes, kPanelPartBytes);
      fetch_.fetch(even, pair_);
    }
  }
  void finish() {
    advance(pairs_);
    amx::finish_writes();
  }
  std::int64_t pairs() const { return pairs_; }

 private:
  const float* from_ = nullptr;
  std::byte* to_ = nullptr;
  std::int64_t pair_ = 0;
  std::int64_t pairs_ = 0;
  Fetch fetch_;
};

/// Pairs after each of `slots` multiplications of four tiles.
std::int64_t share_of(std::int64_t pairs, std::int64_t slots) {
  return (pairs + slots - 1) / slots;
}

// Tiles are numbers in instructions, so these can't be functions of one.
#define DEFORMER_UPPER(part) _tile_loadd(4, a + (part)*part_bytes, kTileRowBytes)
#define DEFORMER_LOWER(part)                                              \
  do {                                                                    \
    if constexpr (kLower) {                                               \
      _tile_loadd(5, a + (part)*part_bytes + upper_bytes, kTileRowBytes); \
    }                                                                     \
  } while (false)
#define DEFORMER_LEFT(part) _tile_loadd(6, b + (part)*kPanelPartBytes, kTileRowBytes)
#define DEFORMER_RIGHT(part) _tile_loadd(7, b + (part)*kPanelPartBytes + kTileBytes, kTileRowBytes)
#define DEFORMER_UPPER_LEFT() _tile_dpbf16ps(0, 4, 6)
#define DEFORMER_UPPER_RIGHT() _tile_dpbf16ps(1, 4, 7)
#define DEFORMER_LOWER_LEFT()  \
  do {                         \
    if constexpr (kLower) {    \
      _tile_dpbf16ps(2, 5, 6); \
    }                          \
  } while (false)
#define DEFORMER_LOWER_RIGHT() \
  do {                         \
    if constexpr (kLower) {    \
      _tile_dpbf16ps(3, 5, 7); \
    }                          \
  } while (false)
/// Four multiplications, after which the rows give way to another part of theirs.
#define DEFORMER_THEN_ROWS(part) \
  do {                           \
    DEFORMER_UPPER_LEFT();       \
    DEFORMER_UPPER_RIGHT();      \
    DEFORMER_UPPER(part);        \
    splitter.advance(share);     \
    DEFORMER_LOWER_LEFT();       \
    DEFORMER_LOWER_RIGHT();      \
    DEFORMER_LOWER(part);        \
  } while (false)
/// Or the panel.
#define DEFORMER_THEN_PANEL(part) \
  do {                            \
    DEFORMER_UPPER_LEFT();        \
    DEFORMER_LOWER_LEFT();        \
    DEFORMER_LEFT(part);          \
    splitter.advance(share);      \
    DEFORMER_UPPER_RIGHT();       \
    DEFORMER_LOWER_RIGHT();       \
    DEFORMER_RIGHT(part);         \
  } while (false)

/// `steps` of a chunk for one group of rows.
template <bool kLower, class Fetch>
[[gnu::always_inline]] inline void run_steps(const std::byte* a, std::int64_t rows,
                                             const std::byte* b, std::int64_t steps,
                                             Splitter<Fetch>& splitter, std::int64_t share) {
  const std::int64_t part_bytes = rows * kTileRowBytes;
  const std::int64_t upper_bytes = (rows + 1) / 2 * kTileRowBytes;
  for (std::int64_t step = 0; step < steps; ++step) {
    DEFORMER_LEFT(kHigh);
    DEFORMER_UPPER(kLow);
    DEFORMER_RIGHT(kHigh);
    DEFORMER_LOWER(kLow);
    DEFORMER_THEN_ROWS(kMiddle);
    DEFORMER_THEN_PANEL(kMiddle);
    DEFORMER_THEN_ROWS(kHigh);
    DEFORMER_THEN_PANEL(kHigh);
    DEFORMER_THEN_PANEL(kLow);
    DEFORMER_UPPER_LEFT();
    DEFORMER_UPPER_RIGHT();
    splitter.advance(share);
    DEFORMER_LOWER_LEFT();
    DEFORMER_LOWER_RIGHT();
    a += kParts * part_bytes;
    b += kPanelStepBytes;
  }
}

#undef DEFORMER_UPPER
#undef DEFORMER_LOWER
#undef DEFORMER_LEFT
#undef DEFORMER_RIGHT
#undef DEFORMER_UPPER_LEFT
#undef DEFORMER_UPPER_RIGHT
#undef DEFORMER_LOWER_LEFT
#undef DEFORMER_LOWER_RIGHT
#undef DEFORMER_THEN_ROWS
#undef DEFORMER_THEN_PANEL

constexpr std::int64_t kSumRowBytes = kColumns * 4;

template <bool kLower>
[[gnu::always_inline]] inline void load_sums(const float* sums, std::int64_t upper, bool zero) {
  if (zero) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    return;
  }
  _tile_loadd(0, sums, kSumRowBytes);
  _tile_loadd(1, sums + 16, kSumRowBytes);
  if constexpr (kLower) {
    _tile_loadd(2, sums + upper * kColumns, kSumRowBytes);
    _tile_loadd(3, sums + upper * kColumns + 16, kSumRowBytes);
  }
}

template <bool kLower>
[[gnu::always_inline]] inline void store_sums(float* sums, std::int64_t upper) {
  _tile_stored(0, sums, kSumRowBytes);
  _tile_stored(1, sums + 16, kSumRowBytes);
  if constexpr (kLower) {
    _tile_stored(2, sums + upper * kColumns, kSumRowBytes);
    _tile_stored(3, sums + upper * kColumns + 16, kSumRowBytes);
  }
}

struct Chunk {
  std::int64_t first;
  std::int64_t steps;
  const std::byte* parts;
};

template <bool kLower>
void run_group(const Product& product, std::int64_t group, std::int64_t rows, const Chunk& chunk,
               Splitter<NextPanel>& splitter, std::int64_t share) {
  amx::configure_block(rows);
  const Rows& all = product.rows;
  const std::int64_t first_row = group * all.group_rows();
  const std::byte* a =
      all.parts + first_row * all.steps * kRowStepBytes + chunk.first * rows * kRowStepBytes;
  float* sums = product.sums + first_row * kColumns;
  const std::int64_t upper = kLower ? (rows + 1) / 2 : rows;
  load_sums<kLower>(sums, upper, chunk.first == 0);
  run_steps<kLower>(a, rows, chunk.parts, chunk.steps, splitter, share);
  store_sums<kLower>(sums, upper);
}

/// A step of a panel at a time, split while the one before is multiplied; sums stay in the tiles.
template <bool kLower>
void run_panel(const FewProduct& product, Ahead& ahead) {
  const Rows& rows = product.rows;
  const std::int64_t upper = kLower ? (rows.count + 1) / 2 : rows.count;
  const auto split = [&](const float* step) {
    ahead.buffer ^= 1;
    const std::int64_t line = (step - product.stream.first) / kLine;
    return Splitter<Streamed>(step, 1, product.chunks + ahead.buffer * kPanelStepBytes,
                              {product.stream, line});
  };
  if (ahead.panel != product.panel) {
    split(product.panel).finish();
  }
  constexpr std::int64_t kStepFloats = kStepInner * kColumns;
  const std::int64_t share = share_of(kStepPairs, three_parts::kPartProducts);
  load_sums<kLower>(product.sums, upper, true);
  for (std::int64_t step = 0; step < rows.steps; ++step) {
    const std::byte* parts = product.chunks + ahead.buffer * kPanelStepBytes;
    const bool last = step + 1 == rows.steps;
    const float* following = last ? product.next : product.panel + (step + 1) * kStepFloats;
    Splitter<Streamed> splitter;
    if (following != nullptr) {
      splitter = split(following);
    }
    run_steps<kLower>(rows.parts + step * rows.count * kRowStepBytes, rows.count, parts, 1,
                      splitter, share);
    splitter.finish();
  }
  ahead.panel = product.next;
  store_sums<kLower>(product.sums, upper);
}

}  // namespace

void multiply_few(const FewProduct& product, Ahead& ahead) {
  amx::configure_block(product.rows.count);
  product.rows.count > kTileRows ? run_panel<true>(product, ahead)
                                 : run_panel<false>(product, ahead);
}

void begin() {
  amx::configured_rows = 0;
}

void end() {
  _tile_release();
  amx::configured_rows = 0;
}

void split_rows(const float* from, std::int64_t stride, const Rows& to,
                const WeightStream* stream) {
  const std::int64_t groups = to.groups();
  std::int64_t line = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t first = group * to.group_rows();
    const std::int64_t rows = std::min(to.group_rows(), to.count - first);
    const std::int64_t part_bytes = rows * kTileRowBytes;
    std::byte* out = to.parts + first * to.steps * kRowStepBytes;
    for (std::int64_t step = 0; step < to.steps; ++step) {
      const float* x = from + first * stride + step * kStepInner;
      for (std::int64_t row = 0; row < rows; ++row) {
        store(three_parts::split_row(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)),
              out + row * kTileRowBytes, part_bytes);
        x += stride;
        if (stream != nullptr) {
          __builtin_prefetch(stream->fetched(line++), 0, 2);
        }
      }
      out += kParts * part_bytes;
    }
  }
  amx::finish_writes();
}

void multiply(const Product& product, Ahead& ahead) {
  const Rows& rows = product.rows;
  const std::int64_t groups = rows.groups();
  const auto buffer = [&] { return product.chunks + ahead.buffer * kChunkSteps * kPanelStepBytes; };
  const auto split = [&](const float* panel, std::int64_t first, const float* fetched) {
    ahead.buffer ^= 1;
    const NextPanel next{fetched == nullptr ? nullptr : fetched + first * kStepPairs * kLine,
                         rows.steps * kStepPairs * kLine};
    return Splitter<NextPanel>(panel + first * kStepInner * kColumns,
                               std::min(kChunkSteps, rows.steps - first), buffer(), next);
  };
  if (ahead.panel != product.panel) {
    split(product.panel, 0, product.next).finish();
  }
  ahead.panel = product.next;
  for (std::int64_t first = 0; first < rows.steps; first += kChunkSteps) {
    const Chunk chunk{first, std::min(kChunkSteps, rows.steps - first), buffer()};
    const std::int64_t following = first + chunk.steps;
    Splitter<NextPanel> splitter;
    if (following < rows.steps) {
      splitter = split(product.panel, following, product.next);
    } else if (product.next != nullptr) {
      splitter = split(product.next, 0, nullptr);
    }
    const std::int64_t slots = chunk.steps * groups * three_parts::kPartProducts;
    const std::int64_t share = share_of(splitter.pairs(), slots);
    for (std::int64_t group = 0; group < groups; ++group) {
      const std::int64_t count =
          std::min(rows.group_rows(), rows.count - group * rows.group_rows());
      count > kTileRows ? run_group<true>(product, group, count, chunk, splitter, share)
                        : run_group<false>(product, group, count, chunk, splitter, share);
    }
    splitter.finish();
  }
}

void finish(const Finish& args) {
  for (std::int64_t column = 0; column < kColumns; column += 16) {
    const __m512 bias =
        args.bias == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(args.bias + column);
    for (std::int64_t row = 0; row < args.rows; ++row) {
      float* out = args.result + row * args.stride + column;
      __m512 value = _mm512_add_ps(_mm512_load_ps(args.sums + row * kColumns + column), bias);
      if (args.add) {
        value = _mm512_add_ps(value, _mm512_loadu_ps(out));
      }
      _mm512_storeu_ps(out, value);
    }
  }
}

}  // namespace deformer::amx_f32

#else

namespace deformer::amx_f32 {

void begin() {}
void end() {}
void split_rows(const float*, std::int64_t, const Rows&, const WeightStream*) {}
void multiply(const Product&, Ahead&) {}
void multiply_few(const FewProduct&, Ahead&) {}
void finish(const Finish&) {}

}  // namespace deformer::amx_f32

#endif
