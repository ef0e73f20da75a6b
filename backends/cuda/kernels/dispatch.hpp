#pragma once
/// From what a run knows to what a kernel was compiled for. Device and host instantiate alike.

#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/rows.cuh"

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

/// f(RowShape{}) with the fewest registers a lane that hold a row of d <= kWidestRow elements:
/// words of 16 bytes where rows are whole ones, in as many sizes as models have (384, 768, 1024,
/// more). Rows with padding are served by one shape for all.
template <class F>
void with_row_shape(Element element, std::int64_t d, std::int64_t padding, const F& f) {
  with_element(element, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    constexpr int kMostPacks = kWidestRow / (kLanes * kPack);
    if (padding > 0) {
      f(RowShape<T, kPack, kMostPacks, true>{});
    } else if (d % kWide != 0) {  // 2-byte elements, d = 8 n + 4
      f(RowShape<T, kPack, kMostPacks>{});
    } else if (d <= 384 || (kWide == 8 && d <= 512)) {
      constexpr int kWords = kWide == 8 ? 2 : 3;
      f(RowShape<T, kWide, kWords>{});
    } else if (d <= 768) {
      f(RowShape<T, kWide, 24 / kWide>{});
    } else if (d <= 1024) {
      f(RowShape<T, kWide, 32 / kWide>{});
    } else {
      f(RowShape<T, kWide, 64 / kWide>{});
    }
  });
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
