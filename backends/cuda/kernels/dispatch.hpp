#pragma once
/// From what a run knows to what a kernel was compiled for. Device and host instantiate alike.

#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {

/// f(T{}) with T the type of stored activations: float, Bf16 or F16.
template <class F>
void with_element(Element element, const F& f) {
  switch (element) {
    case Element::bf16:
      return f(Bf16{});
    case Element::f16:
      return f(F16{});
    default:
      return f(float{});
  }
}

/// f(integral_constant) with the fewest packs a lane that hold a row of d <= kWidestRow elements:
/// 3 for 384, 6 for 768, 8 for 1024.
template <class F>
void with_chunks(std::int64_t d, const F& f) {
  const std::int64_t chunks = (d + 127) / 128;
  if (chunks <= 1) {
    f(std::integral_constant<int, 1>{});
  } else if (chunks <= 3) {
    f(std::integral_constant<int, 3>{});
  } else if (chunks <= 6) {
    f(std::integral_constant<int, 6>{});
  } else if (chunks <= 8) {
    f(std::integral_constant<int, 8>{});
  } else {
    f(std::integral_constant<int, 16>{});
  }
}

/// f(integral_constant) with the padded width of a head: 32, 64 or 128.
template <class F>
void with_head(std::int64_t d_head, const F& f) {
  if (d_head <= 32) {
    f(std::integral_constant<int, 32>{});
  } else if (d_head <= 64) {
    f(std::integral_constant<int, 64>{});
  } else {
    f(std::integral_constant<int, 128>{});
  }
}

}  // namespace deformer::cuda
