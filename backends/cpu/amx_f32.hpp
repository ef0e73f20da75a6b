#pragma once
/// f32 products by AMX: both factors are split in three bf16 parts (three_parts.hpp) and six part
/// products are summed. Left operands are split once and laid out as the tiles read them; panels of
/// weights stay f32 in memory and are split on their way, a few steps of the inner dimension ahead
/// of the tiles that meet them: memory holds and carries 4 bytes a weight, not 6.
///
/// On two cores of a Sapphire Rapids multiply-adds reach 498 GFLOP/s, bf16 tiles 7756, a sixth of
/// which is 1290.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/weight_stream.hpp"

namespace deformer::amx_f32 {

/// Whether this processor can, and no test has forbidden it; everything else below needs it.
bool use();
/// For tests, while no other thread computes: `false` makes use() false everywhere.
void allow(bool allowed);

inline constexpr std::int64_t kColumns = 32;    ///< of a panel: two tiles
inline constexpr std::int64_t kGroupRows = 32;  ///< most rows of a group: two tiles
inline constexpr std::int64_t kStepInner = 32;  ///< of the inner dimension: a tile's 64 bytes
inline constexpr std::int64_t kParts = 3;
/// Bytes of a row's three parts, one step wide.
inline constexpr std::int64_t kRowStepBytes = kParts * kStepInner * 2;
/// Bytes of a panel's three parts, one step deep.
inline constexpr std::int64_t kPanelStepBytes = kColumns * kRowStepBytes;
/// Steps of a panel that are split at a time and stay in the first-level cache while all groups of
/// rows meet them.
inline constexpr std::int64_t kChunkSteps = 4;
/// Two chunks: one that is multiplied, one that is being split.
inline constexpr std::int64_t kChunksBytes = 2 * kChunkSteps * kPanelStepBytes;

/// A block of rows in parts: groups of `group_rows` rows, the last one of what is left, each
/// [step][part][rows][kStepInner]. All groups but the last have the same size, as tiles take a
/// while to be told another.
struct Rows {
  std::int64_t count = 0;
  std::int64_t steps = 0;
  std::byte* parts = nullptr;  ///< count * steps * kRowStepBytes, 64-byte aligned

  std::int64_t groups() const { return (count + kGroupRows - 1) / kGroupRows; }
  std::int64_t group_rows() const { return (count + groups() - 1) / groups(); }
};

/// Splits rows of `to.steps * kStepInner` floats, `stride` floats apart. Meanwhile the first lines
/// of `stream`, unless null, are fetched.
void split_rows(const float* from, std::int64_t stride, const Rows& to,
                const WeightStream* stream = nullptr);

/// A block of rows times a panel of weights.
struct Product {
  Rows rows;
  const float* panel = nullptr;  ///< [rows.steps * kStepInner][kColumns], 64-byte aligned
  /// The panel of the next product, with as many steps; may be null. It is fetched into the
  /// second-level cache meanwhile, and its beginning split.
  const float* next = nullptr;
  std::byte* chunks = nullptr;  ///< kChunksBytes of scratch, 64-byte aligned
  float* sums = nullptr;        ///< [rows][kColumns], overwritten; 64-byte aligned
};

/// What a thread has split already: the beginning of this panel, in this half of the chunks. The
/// number of steps is that of the product that named it as its next.
struct Ahead {
  const float* panel = nullptr;
  std::int64_t buffer = 0;
};

void multiply(const Product& product, Ahead& ahead);

/// At most kGroupRows rows times a panel of weights that come from memory, which they wait for: a
/// step is split while the one before is multiplied, and the thread's stream of weights fetched. Of
/// `next` the first step is split meanwhile.
struct FewProduct : Product {
  WeightStream stream;  ///< `panel` and `next` lie in it
};

void multiply_few(const FewProduct& product, Ahead& ahead);

/// What follows a product: result <- [result +] sums [+ bias].
struct Finish {
  const float* sums = nullptr;  ///< [rows][kColumns]
  std::int64_t rows = 0;
  const float* bias = nullptr;  ///< [kColumns]; may be null
  bool add = false;
  float* result = nullptr;
  std::int64_t stride = 0;  ///< floats from one row of the result to the next
};

void finish(const Finish& args);

/// To be called by a thread before its first `multiply`, and after its last.
void begin();
void end();

}  // namespace deformer::amx_f32
