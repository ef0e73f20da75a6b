#pragma once
/// What a number is stored as in device memory, and what a dtype of the interface means here.
///
///   dtype  activations  operands of products      products
///   f32    f32          f32                       f32, every bit of the mantissa
///   tf32   f32          f32                       on tensor cores, 10 bits of the mantissa
///   bf16   bf16         bf16                      f32 sums
///   f16    f16          f16                       f32 sums
///   fp8    bf16         e4m3, one scale a tensor  f32 sums

#include <cstdint>

#include "model/types.hpp"

namespace deformer::cuda {

enum class Element : std::int32_t { f32, bf16, f16, e4m3 };

constexpr std::int64_t bytes_of(Element element) {
  switch (element) {
    case Element::f32:
      return 4;
    case Element::bf16:
    case Element::f16:
      return 2;
    case Element::e4m3:
      return 1;
  }
  return 0;
}

struct Numbers {
  Element activations = Element::f32;
  Element operands = Element::f32;  ///< of both sides of a layer's products
  bool tf32 = false;

  bool scaled() const { return operands == Element::e4m3; }
};

/// For f32, tf32, bf16, f16 and fp8; others have no meaning here (Backend::why_not says so).
constexpr Numbers numbers_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return {Element::bf16, Element::bf16, false};
    case DType::f16:
      return {Element::f16, Element::f16, false};
    case DType::fp8:
      return {Element::bf16, Element::e4m3, false};
    case DType::tf32:
      return {Element::f32, Element::f32, true};
    default:
      return {};
  }
}

}  // namespace deformer::cuda
