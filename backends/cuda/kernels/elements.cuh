#pragma once
/// Kernels that work on elements, wherever in a row they lie: activations, e4m3 and f32 copies.
/// Functions here are a thread's work; row_kernels.cu gives them to the device, tests run them on
/// the host.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/quick_math.cuh"
#include "backends/cuda/kernels/words.cuh"

namespace deformer::cuda {

/// Words that a thread reads before it uses the first.
inline constexpr int kElementWords = 2;
/// Elements in 16 bytes.
template <class T>
inline constexpr int kWidest = 16 / static_cast<int>(sizeof(T));

/// As the library's functions have it, to the last bits of f32.
DEFORMER_PORTABLE float gelu(Activation activation, float x) {
  if (activation == Activation::gelu_erf) {
    return 0.5F * x * (1.0F + erff(x * 0.70710678F));
  }
  constexpr float kSlope = 0.79788456F;  // sqrt(2 / pi)
  return 0.5F * x * (1.0F + tanhf(kSlope * (x + 0.044715F * x * x * x)));
}

/// For results that are rounded to 16 bits: 3e-7 from the above in half as many instructions.
///
/// erf: x Phi(x) = max(x, 0) - |x| erfc(|x| / sqrt 2) / 2, and erfc(z) = p(t) exp(-z^2) with
/// t = 1 / (1 + 0.3275911 z) and p of degree 5 to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
/// tanh: (1 + tanh y) / 2 = 1 / (1 + exp(-2 y)).
template <Activation kActivation>
DEFORMER_PORTABLE float quick_gelu(float x) {
  if constexpr (kActivation == Activation::gelu_erf) {
    constexpr float kReach = 0.3275911F * 0.70710678F;
    constexpr float kRoot = 0.84932180F;        // sqrt(log2(e) / 2)
    const float size = fminf(fabsf(x), 30.0F);  // beyond, erfc is 0: infinity times 0 is not
    const float t = quick_inverse(1.0F + kReach * fabsf(x));
    // Half of p's coefficients.
    float p = 0.5F * 1.061405429F;
    p = p * t - 0.5F * 1.453152027F;
    p = p * t + 0.5F * 1.421413741F;
    p = p * t - 0.5F * 0.284496736F;
    p = p * t + 0.5F * 0.254829592F;
    const float z = kRoot * x;
    return fmaxf(x, 0.0F) - size * (p * t * quick_exp2(-z * z));
  } else {
    constexpr float kSlope = -2.0F * 0.79788456F * 1.44269504F;  // -2 sqrt(2 / pi) log2(e)
    return x * quick_inverse(1.0F + quick_exp2(x * (kSlope + kSlope * 0.044715F * x * x)));
  }
}

template <class T, Activation kActivation>
DEFORMER_PORTABLE float gelu_for(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return gelu(kActivation, x);
  } else {
    return quick_gelu<kActivation>(x);
  }
}

/// f(element, values) for a thread's words, `first`, `first + step` and so on: read at once, then
/// given one by one. What is left at the end, less than a word, goes to the thread whose word it
/// begins.
template <class T, class F>
DEFORMER_PORTABLE void each_word(const void* from, std::int64_t count, std::int64_t first,
                                 std::int64_t step, const F& f) {
  constexpr int kWide = kWidest<T>;
  Word<T, kWide> words[kElementWords];
  DEFORMER_UNROLL
  for (int i = 0; i < kElementWords; ++i) {
    const std::int64_t at = (first + i * step) * kWide;
    if (at + kWide <= count) {
      words[i] = load_words<T, kWide>(from, at);
    }
  }
  DEFORMER_UNROLL
  for (int i = 0; i < kElementWords; ++i) {
    const std::int64_t at = (first + i * step) * kWide;
    if (at + kWide <= count) {
      f(at, widened(words[i]));
    } else if (at < count) {
      for (std::int64_t rest = at; rest < count; rest += 4) {
        f(rest, widened(load_words<T, 4>(from, rest)));
      }
    }
  }
}

template <class T, Activation kActivation>
DEFORMER_PORTABLE void gelu_words_of(const GeluArgs& args, std::int64_t first, std::int64_t step) {
  const float to_quantised = args.quantised != nullptr ? 1.0F / *args.scale : 0.0F;
  each_word<T>(args.values, args.count, first, step, [&](std::int64_t at, auto values) {
    DEFORMER_UNROLL
    for (float& value : values.at) {
      value = gelu_for<T, kActivation>(value);
    }
    if (args.quantised != nullptr) {
      store_words(args.quantised, at, narrowed<E4m3>(scaled(values, to_quantised)));
    } else {
      store_words(args.values, at, narrowed<T>(values));
    }
  });
}

template <class T>
DEFORMER_PORTABLE void gelu_words(const GeluArgs& args, std::int64_t first, std::int64_t step) {
  if (args.activation == Activation::gelu_erf) {
    gelu_words_of<T, Activation::gelu_erf>(args, first, step);
  } else {
    gelu_words_of<T, Activation::gelu_tanh>(args, first, step);
  }
}

template <class T>
DEFORMER_PORTABLE void quantise_words(const QuantiseArgs& args, std::int64_t first,
                                      std::int64_t step) {
  const float to_quantised = 1.0F / *args.scale;
  each_word<T>(args.from, args.count, first, step, [&](std::int64_t at, const auto& values) {
    store_words(args.quantised, at, narrowed<E4m3>(scaled(values, to_quantised)));
  });
}

template <class T>
DEFORMER_PORTABLE void widen_words(const WidenArgs& args, std::int64_t first, std::int64_t step) {
  each_word<T>(args.from, args.count, first, step,
               [&](std::int64_t at, const auto& values) { store_floats(args.out, at, values); });
}

}  // namespace deformer::cuda
