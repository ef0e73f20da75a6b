#pragma once
/// bf16 in tests: what a float becomes, by the codec's scalar code.

#include <cstddef>

#include "cache/codec_rows.hpp"

namespace deformer {

inline float from_bf16(const std::byte* at) {
  float value = 0;
  codec::decode_bf16(at, 1, &value);
  return value;
}

/// The bf16 next to a number.
inline float to_nearest_bf16(double x) {
  const auto given = static_cast<float>(x);
  std::byte bytes[2];
  codec::encode_bf16(&given, 1, bytes);
  return from_bf16(bytes);
}

}  // namespace deformer
