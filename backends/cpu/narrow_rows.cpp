#include "backends/cpu/narrow_rows.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/narrow_rows.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

#include "backends/cpu/narrow_gelu.hpp"
#include "backends/cpu/narrow_widen_avx512.hpp"

HWY_BEFORE_NAMESPACE();
namespace deformer::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors no longer than a cache line: every row is whole lines, so no loop has a remainder there.
using Floats = hn::CappedTag<float, 16>;
using Words = hn::Rebind<std::uint16_t, Floats>;
using Bytes = hn::Rebind<std::uint8_t, Floats>;
using Integers = hn::RebindToSigned<Floats>;
#if HWY_TARGET != HWY_SCALAR
using Pairs = hn::Repartition<std::int16_t, Floats>;
#endif
using Vector = hn::Vec<Floats>;

const float* FloatsAt(const std::byte* bytes) {
  return reinterpret_cast<const float*>(bytes);
}

/// To nearest even: half a unit of the last kept place, less one when that place is even, carries
/// exactly when the value must go up. Infinities stay; a NaN, whose payload the carry could run
/// over, is cut off and made quiet instead.
HWY_INLINE void StoreBf16(Vector x, std::uint16_t* out) {
  const hn::RebindToUnsigned<Floats> bits;
  const auto value = hn::BitCast(bits, x);
  const auto odd = hn::And(hn::ShiftRight<16>(value), hn::Set(bits, 1U));
  const auto rounded = hn::Add(value, hn::Add(odd, hn::Set(bits, 0x7FFFU)));
  const auto quiet = hn::Or(value, hn::Set(bits, 0x40'0000U));
  const auto nan = hn::RebindMask(bits, hn::IsNaN(x));
  const auto kept = hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, rounded));
  hn::StoreU(hn::DemoteTo(Words(), hn::BitCast(Integers(), kept)), Words(), out);
}

HWY_INLINE Vector LoadBf16(const std::uint16_t* at) {
  const hn::RebindToUnsigned<Floats> bits;
  const auto value = hn::PromoteTo(bits, hn::LoadU(Words(), at));
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(value));
}

#if HWY_TARGET != HWY_SCALAR
/// Pairs of bf16 as floats.
struct Both {
  Vector even;
  Vector odd;
};
HWY_INLINE Both Widened(hn::Vec<Pairs> pairs) {
  const hn::RebindToUnsigned<Floats> bits;
  const auto both = hn::BitCast(bits, pairs);
  return {hn::BitCast(Floats(), hn::ShiftLeft<16>(both)),
          hn::BitCast(Floats(), hn::And(both, hn::Set(bits, 0xFFFF'0000U)))};
}
#endif

/// Elements of one row, as floats: whole vectors, then one at a time.
struct F32Row {
  const float* at;
  explicit F32Row(const std::byte* bytes) : at(FloatsAt(bytes)) {}
  HWY_INLINE Vector Load(std::size_t i) const { return hn::LoadU(Floats(), at + i); }
  float operator[](std::size_t i) const { return at[i]; }
};

struct Bf16Row {
  const std::uint16_t* at;
  explicit Bf16Row(const std::byte* bytes) : at(reinterpret_cast<const std::uint16_t*>(bytes)) {}
  HWY_INLINE Vector Load(std::size_t i) const { return LoadBf16(at + i); }
  const std::int16_t* Bits(std::size_t i) const {
    return reinterpret_cast<const std::int16_t*>(at + i);
  }
  float operator[](std::size_t i) const {
    const std::uint32_t bits = static_cast<std::uint32_t>(at[i]) << 16;
    float value = 0;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
};

std::uint16_t Bf16Of(float x) {
  std::uint32_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) {
    return static_cast<std::uint16_t>((bits | 0x40'0000U) >> 16);
  }
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

void ToBf16(const WideRows& from, std::byte* out, std::size_t out_row_bytes) {
  const std::size_t lanes = hn::Lanes(Floats());
  const auto columns = static_cast<std::size_t>(from.columns);
  for (std::int64_t row = 0; row < from.rows; ++row) {
    const F32Row x(from.x + row * from.x_row_bytes);
    auto* to =
        reinterpret_cast<std::uint16_t*>(out + static_cast<std::size_t>(row) * out_row_bytes);
    std::size_t i = 0;
    for (; i + lanes <= columns; i += lanes) {
      StoreBf16(x.Load(i), to + i);
    }
    for (; i < columns; ++i) {
      to[i] = Bf16Of(x[i]);
    }
    for (; i % kNarrowColumns != 0; ++i) {
      to[i] = 0;
    }
  }
}

struct Extremes {
  float lowest;
  float highest;
  bool finite;
};

/// What FindExtremes has seen; several side by side, since one alone waits for each minimum.
struct Seen {
  Vector low;
  Vector high;
  Vector zeros;  ///< x * 0 is NaN where x is not finite, and stays so in the sum

  HWY_INLINE void See(Vector value, Vector zero) {
    low = hn::Min(low, value);
    high = hn::Max(high, value);
    zeros = hn::MulAdd(value, zero, zeros);
  }
  HWY_INLINE void Join(const Seen& other) {
    low = hn::Min(low, other.low);
    high = hn::Max(high, other.high);
    zeros = hn::Add(zeros, other.zeros);
  }
};

template <class Row>
HWY_INLINE Extremes FindExtremes(const Row& x, std::size_t columns) {
  const Floats tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto nothing = hn::Zero(tag);
  const auto most = hn::Set(tag, std::numeric_limits<float>::infinity());
  const Seen none{most, hn::Neg(most), nothing};
  Seen seen[4] = {none, none, none, none};
  std::size_t i = 0;
  for (; i + 4 * lanes <= columns; i += 4 * lanes) {
    for (std::size_t v = 0; v < 4; ++v) {
      seen[v].See(x.Load(i + v * lanes), nothing);
    }
  }
  for (; i + lanes <= columns; i += lanes) {
    seen[0].See(x.Load(i), nothing);
  }
  for (std::size_t v = 1; v < 4; ++v) {
    seen[0].Join(seen[v]);
  }
  Extremes found{hn::GetLane(hn::MinOfLanes(tag, seen[0].low)),
                 hn::GetLane(hn::MaxOfLanes(tag, seen[0].high)), true};
  float zero = hn::GetLane(hn::SumOfLanes(tag, seen[0].zeros));
  for (; i < columns; ++i) {
    found.lowest = x[i] < found.lowest ? x[i] : found.lowest;
    found.highest = x[i] > found.highest ? x[i] : found.highest;
    zero += x[i] * 0.0F;
  }
  found.finite = zero == 0.0F;
  return found;
}

#if HWY_TARGET != HWY_SCALAR  // which has no pairs
/// Of bf16 by their bits, twice as many in a vector: a negative number's are turned, so that they
/// go up with it. What is not finite is an exponent of ones, beyond all others.
HWY_INLINE Extremes FindExtremes(const Bf16Row& x, std::size_t columns) {
  const Pairs tag;
  const Floats floats;
  const std::size_t lanes = hn::Lanes(tag);
  const auto turned = [&](hn::Vec<Pairs> bits) {
    return hn::Xor(bits, hn::And(hn::ShiftRight<15>(bits), hn::Set(tag, 0x7FFF)));
  };
  constexpr std::int16_t kInfinity = 0x7F80;
  constexpr std::int16_t kMinusInfinity = -0x7F81;  // turned
  auto low = hn::Set(tag, kInfinity);
  auto high = hn::Set(tag, kMinusInfinity);
  auto low_odd = low;
  auto high_odd = high;
  std::size_t i = 0;
  for (; i + 2 * lanes <= columns; i += 2 * lanes) {
    const auto even = turned(hn::LoadU(tag, x.Bits(i)));
    const auto odd = turned(hn::LoadU(tag, x.Bits(i + lanes)));
    low = hn::Min(low, even);
    high = hn::Max(high, even);
    low_odd = hn::Min(low_odd, odd);
    high_odd = hn::Max(high_odd, odd);
  }
  if (i + lanes <= columns) {
    const auto last = turned(hn::LoadU(tag, x.Bits(i)));
    low = hn::Min(low, last);
    high = hn::Max(high, last);
    i += lanes;
  }
  low = hn::Min(low, low_odd);
  high = hn::Max(high, high_odd);
  const bool any = i > 0;
  const auto lowest = Widened(turned(low));
  const auto highest = Widened(turned(high));
  Extremes found{hn::GetLane(hn::MinOfLanes(floats, hn::Min(lowest.even, lowest.odd))),
                 hn::GetLane(hn::MaxOfLanes(floats, hn::Max(highest.even, highest.odd))),
                 !any || (hn::AllTrue(tag, hn::Lt(high, hn::Set(tag, kInfinity))) &&
                          hn::AllTrue(tag, hn::Gt(low, hn::Set(tag, kMinusInfinity))))};
  for (; i < columns; ++i) {
    found.lowest = x[i] < found.lowest ? x[i] : found.lowest;
    found.highest = x[i] > found.highest ? x[i] : found.highest;
    found.finite = found.finite && std::isfinite(x[i]);
  }
  return found;
}
#endif

/// How far above `lowest`, in steps, whole vectors of them; how many elements that was.
template <class Row>
HWY_INLINE std::size_t WriteSteps(const Row& x, std::size_t columns, Vector lowest, Vector scale,
                                  std::uint8_t* to) {
  const std::size_t lanes = hn::Lanes(Floats());
  std::size_t i = 0;
  for (; i + lanes <= columns; i += lanes) {
    const auto step = hn::NearestInt(hn::Mul(hn::Sub(x.Load(i), lowest), scale));
    hn::StoreU(hn::DemoteTo(Bytes(), step), Bytes(), to + i);
  }
  return i;
}

#if HWY_TARGET != HWY_SCALAR
/// Two vectors at once, which one load brings and one narrowing takes back. 1280 rows of 3072 took
/// 420 us on a core of a Zen 5 as single vectors, with these and their extremes 279.
HWY_INLINE std::size_t WriteSteps(const Bf16Row& x, std::size_t columns, Vector lowest,
                                  Vector scale, std::uint8_t* to) {
  const Pairs tag;
  const hn::Rebind<std::uint8_t, Pairs> bytes;
  const hn::RebindToUnsigned<Floats> bits;
  const std::size_t lanes = hn::Lanes(tag);
  const auto steps = [&](Vector value) {
    return hn::BitCast(bits, hn::NearestInt(hn::Mul(hn::Sub(value, lowest), scale)));
  };
  std::size_t i = 0;
  for (; i + lanes <= columns; i += lanes) {
    const auto both = Widened(hn::LoadU(tag, x.Bits(i)));
    const auto words = hn::Or(steps(both.even), hn::ShiftLeft<16>(steps(both.odd)));
    hn::StoreU(hn::DemoteTo(bytes, hn::BitCast(tag, words)), bytes, to + i);
  }
  return i;
}
#endif

template <class Row>
void ToU8(const WideRows& from, std::byte* out, std::size_t out_row_bytes, RowRange* ranges) {
  constexpr float kSteps = 255.0F;
  const Floats tag;
  const auto columns = static_cast<std::size_t>(from.columns);
  for (std::int64_t row = 0; row < from.rows; ++row) {
    const Row x(from.x + row * from.x_row_bytes);
    auto* to = reinterpret_cast<std::uint8_t*>(out + static_cast<std::size_t>(row) * out_row_bytes);
    const Extremes extremes = FindExtremes(x, columns);
    const float spread = extremes.highest - extremes.lowest;
    const float inverse = extremes.finite && spread > 0 ? kSteps / spread : 0.0F;
    // A spread so small that its inverse overflows is none.
    const bool usable = std::isfinite(inverse);
    const auto scale = hn::Set(tag, usable ? inverse : 0.0F);
    const auto lowest = hn::Set(tag, extremes.lowest);
    std::size_t i = WriteSteps(x, columns, lowest, scale, to);
    for (; i < columns; ++i) {
      const float step = (x[i] - extremes.lowest) * (usable ? inverse : 0.0F);
      to[i] = static_cast<std::uint8_t>(std::lrintf(step > kSteps ? kSteps : step > 0 ? step : 0));
    }
    for (; i % 64 != 0; ++i) {
      to[i] = 0;
    }
    ranges[row].lowest = extremes.lowest;
    ranges[row].step = extremes.finite ? spread / kSteps : std::numeric_limits<float>::quiet_NaN();
  }
}

void F32ToU8(const WideRows& from, std::byte* out, std::size_t out_row_bytes, RowRange* ranges) {
  ToU8<F32Row>(from, out, out_row_bytes, ranges);
}

void Bf16ToU8(const WideRows& from, std::byte* out, std::size_t out_row_bytes, RowRange* ranges) {
  ToU8<Bf16Row>(from, out, out_row_bytes, ranges);
}

HWY_INLINE Vector NarrowGelu(Vector x, const float (&coefficients)[narrow::kGeluTerms]) {
  const Floats tag;
  const auto clamped =
      hn::Clamp(x, hn::Set(tag, -narrow::kGeluEnd), hn::Set(tag, narrow::kGeluEnd));
  const auto t =
      hn::MulSub(hn::Mul(clamped, clamped), hn::Set(tag, narrow::kGeluScale), hn::Set(tag, 1.0F));
  auto sum = hn::Set(tag, coefficients[0]);
  for (int i = 1; i < narrow::kGeluTerms; ++i) {
    sum = hn::MulAdd(sum, t, hn::Set(tag, coefficients[i]));
  }
  return hn::Mul(x, hn::MulAdd(clamped, sum, hn::Set(tag, 0.5F)));
}

struct NoActivation {
  HWY_INLINE static Vector Of(Vector x) { return x; }
};

struct Erf {
  HWY_INLINE static Vector Of(Vector x) { return NarrowGelu(x, narrow::kGeluErf); }
};

struct Tanh {
  HWY_INLINE static Vector Of(Vector x) { return NarrowGelu(x, narrow::kGeluTanh); }
};

/// f32 sums.
struct FloatSums {
  explicit FloatSums(const NarrowSums& sums)
      : at(static_cast<const float*>(sums.sums)), bias(sums.bias) {}
  void Enter(std::int64_t row) { values = at + row * kNarrowColumns; }
  HWY_INLINE Vector Value(std::size_t column) const {
    const Floats tag;
    return hn::Add(hn::LoadU(tag, values + column), hn::LoadU(tag, bias + column));
  }
  const float* at;
  const float* bias;
  const float* values = nullptr;
};

/// int32 sums.
struct IntegerSums {
  explicit IntegerSums(const NarrowSums& sums)
      : all(sums), at(static_cast<const std::int32_t*>(sums.sums)) {}
  void Enter(std::int64_t row) {
    values = at + row * kNarrowColumns;
    range = all.ranges[row];
  }
  HWY_INLINE Vector Value(std::size_t column) const {
    const Floats tag;
    const auto sum = hn::ConvertTo(tag, hn::LoadU(Integers(), values + column));
    const auto offset =
        hn::MulAdd(hn::Set(tag, range.lowest), hn::LoadU(tag, all.column_sum + column),
                   hn::LoadU(tag, all.bias + column));
    const auto scale = hn::Mul(hn::Set(tag, range.step), hn::LoadU(tag, all.column_scale + column));
    return hn::MulAdd(sum, scale, offset);
  }
  const NarrowSums& all;
  const std::int32_t* at;
  const std::int32_t* values = nullptr;
  RowRange range;
};

template <class Sums, class Store>
HWY_INLINE void ForSums(const NarrowSums& from, const Store& store) {
  const std::size_t lanes = hn::Lanes(Floats());
  Sums sums(from);
  for (std::int64_t row = 0; row < from.rows; ++row) {
    sums.Enter(row);
    for (std::size_t column = 0; column < static_cast<std::size_t>(from.columns); column += lanes) {
      store(row, column, sums.Value(column));
    }
  }
}

template <class Sums>
void WidenSums(const NarrowSums& from, float* out, std::int64_t stride) {
  ForSums<Sums>(from, [&](std::int64_t row, std::size_t column, Vector y)
                          HWY_ATTR { hn::StoreU(y, Floats(), out + row * stride + column); });
}

template <class Sums>
void WidenAddedSums(const NarrowSums& from, float* out, std::int64_t stride) {
  ForSums<Sums>(from, [&](std::int64_t row, std::size_t column, Vector y) HWY_ATTR {
    float* at = out + row * stride + column;
    hn::StoreU(hn::Add(y, hn::LoadU(Floats(), at)), Floats(), at);
  });
}

template <class Sums, class Activation>
void WidenBf16Sums(const NarrowSums& from, std::byte* out, std::int64_t row_bytes) {
  ForSums<Sums>(from, [&](std::int64_t row, std::size_t column, Vector y) HWY_ATTR {
    StoreBf16(Activation::Of(y), reinterpret_cast<std::uint16_t*>(out + row * row_bytes) + column);
  });
}

void Widen(const NarrowSums& from, float* out, std::int64_t stride) {
  from.ranges == nullptr ? WidenSums<FloatSums>(from, out, stride)
                         : WidenSums<IntegerSums>(from, out, stride);
}

void WidenAdded(const NarrowSums& from, float* out, std::int64_t stride) {
  from.ranges == nullptr ? WidenAddedSums<FloatSums>(from, out, stride)
                         : WidenAddedSums<IntegerSums>(from, out, stride);
}

template <class Activation>
void WidenBf16As(const NarrowSums& from, std::byte* out, std::int64_t row_bytes) {
  from.ranges == nullptr ? WidenBf16Sums<FloatSums, Activation>(from, out, row_bytes)
                         : WidenBf16Sums<IntegerSums, Activation>(from, out, row_bytes);
}

void WidenBf16(const NarrowSums& from, NarrowActivation activation, std::byte* out,
               std::int64_t row_bytes) {
  switch (activation) {
    case NarrowActivation::none:
      WidenBf16As<NoActivation>(from, out, row_bytes);
      break;
    case NarrowActivation::gelu_erf:
      WidenBf16As<Erf>(from, out, row_bytes);
      break;
    case NarrowActivation::gelu_tanh:
      WidenBf16As<Tanh>(from, out, row_bytes);
      break;
  }
}

}  // namespace deformer::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::kernels {
namespace {

HWY_EXPORT(ToBf16);
HWY_EXPORT(F32ToU8);
HWY_EXPORT(Bf16ToU8);
HWY_EXPORT(Widen);
HWY_EXPORT(WidenAdded);
HWY_EXPORT(WidenBf16);

}  // namespace

void to_bf16(const WideRows& from, std::byte* out, std::int64_t out_row_bytes) {
  if (narrow::use_bf16_vectors()) {
    narrow::to_bf16(from, out, out_row_bytes);
    return;
  }
  HWY_DYNAMIC_DISPATCH(ToBf16)(from, out, static_cast<std::size_t>(out_row_bytes));
}

void f32_to_u8(const WideRows& from, std::byte* out, std::int64_t out_row_bytes, RowRange* ranges) {
  HWY_DYNAMIC_DISPATCH(F32ToU8)(from, out, static_cast<std::size_t>(out_row_bytes), ranges);
}

void bf16_to_u8(const WideRows& from, std::byte* out, std::int64_t out_row_bytes,
                RowRange* ranges) {
  HWY_DYNAMIC_DISPATCH(Bf16ToU8)(from, out, static_cast<std::size_t>(out_row_bytes), ranges);
}

void widen(const NarrowSums& from, float* out, std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(Widen)(from, out, stride);
}

void widen_added(const NarrowSums& from, float* out, std::int64_t stride) {
  if (narrow::use_bf16_vectors()) {
    narrow::widen_added(from, out, stride);
    return;
  }
  HWY_DYNAMIC_DISPATCH(WidenAdded)(from, out, stride);
}

void widen_to_bf16(const NarrowSums& from, NarrowActivation activation, std::byte* out,
                   std::int64_t out_row_bytes) {
  if (narrow::use_bf16_vectors()) {
    narrow::widen_to_bf16(from, activation, out, out_row_bytes);
    return;
  }
  HWY_DYNAMIC_DISPATCH(WidenBf16)(from, activation, out, out_row_bytes);
}

}  // namespace deformer::kernels
#endif  // HWY_ONCE
