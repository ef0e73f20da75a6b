#include <cstring>

#include "cache/codec_rows.hpp"

// Highway compiles the part between the two namespace lines once per instruction set, by including
// this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cache/decode_rows.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace deformer::codec::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<float>;
using Vector = hn::Vec<Full>;

template <class Element>
HWY_INLINE Element Read(const std::byte* from) {
  Element element;
  std::memcpy(&element, from, sizeof element);
  return element;
}

/// Whole vectors by `decode`(first element); the last one ends where the row does and writes some
/// elements again, with what they have. For rows of at least one vector.
template <class Decode>
HWY_INLINE void ForVectors(std::size_t d, float* out, const Decode& decode) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  std::size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    hn::StoreU(decode(i), tag, out + i);
  }
  if (i < d) {
    hn::StoreU(decode(d - lanes), tag, out + (d - lanes));
  }
}

HWY_INLINE float Bf16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

void DecodeBf16(const std::byte* row, std::size_t d, float* out) {
  const Full tag;
  const hn::Rebind<std::uint16_t, Full> halves;
  const hn::RebindToUnsigned<Full> words;
  if (d < hn::Lanes(tag)) {
    for (std::size_t i = 0; i < d; ++i) {
      out[i] = Bf16(Read<std::uint16_t>(row + 2 * i));
    }
    return;
  }
  const auto* from = reinterpret_cast<const std::uint16_t*>(row);
  ForVectors(d, out, [&](std::size_t i) HWY_ATTR {
    return hn::BitCast(tag, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, from + i))));
  });
}

void DecodeF16(const std::byte* row, std::size_t d, float* out) {
  const Full tag;
  const hn::Rebind<hwy::float16_t, Full> halves;
  const std::size_t lanes = hn::Lanes(tag);
  if (d < lanes) {
    HWY_ALIGN hwy::float16_t padded[hn::MaxLanes(halves)] = {};
    HWY_ALIGN float wide[hn::MaxLanes(tag)];
    std::memcpy(padded, row, 2 * d);
    hn::Store(hn::PromoteTo(tag, hn::Load(halves, padded)), tag, wide);
    std::memcpy(out, wide, d * sizeof(float));
    return;
  }
  const auto* from = reinterpret_cast<const hwy::float16_t*>(row);
  ForVectors(d, out, [&](std::size_t i) HWY_ATTR {
    return hn::PromoteTo(tag, hn::LoadU(halves, from + i));
  });
}

void DecodeInt8(const std::byte* row, std::size_t d, float* out) {
  const Full tag;
  const hn::Rebind<std::int8_t, Full> bytes;
  const hn::RebindToSigned<Full> words;
  const float scale = Read<float>(row);
  const auto* from = reinterpret_cast<const std::int8_t*>(row + sizeof scale);
  if (d < hn::Lanes(tag)) {
    for (std::size_t i = 0; i < d; ++i) {
      out[i] = scale * static_cast<float>(from[i]);
    }
    return;
  }
  const auto scales = hn::Set(tag, scale);
  ForVectors(d, out, [&](std::size_t i) HWY_ATTR {
    const auto steps = hn::PromoteTo(words, hn::LoadU(bytes, from + i));
    return hn::Mul(scales, hn::ConvertTo(tag, steps));
  });
}

/// Eight elements a byte, so that no vector begins inside one.
void DecodeBit1(const std::byte* row, std::size_t d, float* out) {
  const hn::CappedTag<float, 16> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const float scale = Read<float>(row);
  const auto* from = reinterpret_cast<const std::uint8_t*>(row + sizeof scale);
  std::size_t i = 0;
  if (lanes % 8 == 0) {
    const auto plus = hn::Set(tag, scale);
    const auto minus = hn::Set(tag, -scale);
    for (; i + lanes <= d; i += lanes) {
      const auto set = hn::LoadMaskBits(tag, from + i / 8);
      hn::StoreU(hn::IfThenElse(set, plus, minus), tag, out + i);
    }
  }
  for (; i < d; ++i) {
    out[i] = ((from[i / 8] >> (i % 8)) & 1U) != 0 ? scale : -scale;
  }
}

}  // namespace deformer::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::codec {

HWY_EXPORT(DecodeBf16);
HWY_EXPORT(DecodeF16);
HWY_EXPORT(DecodeInt8);
HWY_EXPORT(DecodeBit1);

void decode_bf16(const std::byte* row, std::int64_t d, float* out) {
  HWY_DYNAMIC_DISPATCH(DecodeBf16)(row, static_cast<std::size_t>(d), out);
}

void decode_f16(const std::byte* row, std::int64_t d, float* out) {
  HWY_DYNAMIC_DISPATCH(DecodeF16)(row, static_cast<std::size_t>(d), out);
}

void decode_int8(const std::byte* row, std::int64_t d, float* out) {
  HWY_DYNAMIC_DISPATCH(DecodeInt8)(row, static_cast<std::size_t>(d), out);
}

void decode_bit1(const std::byte* row, std::int64_t d, float* out) {
  HWY_DYNAMIC_DISPATCH(DecodeBit1)(row, static_cast<std::size_t>(d), out);
}

}  // namespace deformer::codec
#endif
