#pragma once
/// One block of four warps, as the attention kernel sees it. On the host one thread walks through
/// the 128 of the device, and a product of tensor cores is computed from the same fragments.
///
///   PerThread<T>      a value a thread has of its own (registers)
///   each(f)           f(thread) for every thread, then a barrier
///   each_alone(f)     the same without a barrier: for what touches registers only
///   multiply(a, b, c) c(thread) += fragments a(thread) times b(thread): 16 x 16 by 16 x 8 a warp
///   over_quad(f, op)  f(thread), a float&, becomes op over the 4 threads that share its rows
///
/// Fragments of a warp's product (PTX ISA, mma.m16n8k16), g = lane / 4, t = lane % 4:
///   A  4 words: (row g, k 2t..), (row g+8, k 2t..), (row g, k 2t+8..), (row g+8, k 2t+8..)
///   B  2 words: (k 2t.., column g), (k 2t+8.., column g)
///   C  4 floats: (row g, columns 2t, 2t+1), (row g+8, columns 2t, 2t+1)
/// a word holding two neighbours in k, the first in its lower half.

#include <cstdint>

#include "backends/cuda/kernels/numbers.cuh"
#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

inline constexpr int kBlockThreads = 128;

struct FragmentA {
  std::uint32_t word[4];
};
struct FragmentB {
  std::uint32_t word[2];
};
struct FragmentC {
  float at[4];
};

#if defined(__CUDACC__)
/// Compiled for the host too, where nobody calls it: templates that take it are portable.
class DeviceBlock {
 public:
  template <class T>
  class PerThread {
   public:
    DEFORMER_PORTABLE T& operator[](int) { return value_; }

   private:
    T value_;
  };

  template <class F>
  DEFORMER_PORTABLE void each(const F& f) {
    f(thread());
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }
  template <class F>
  DEFORMER_PORTABLE void each_alone(const F& f) {
    f(thread());
  }
  template <class T, class A, class B, class C>
  DEFORMER_PORTABLE void multiply(const A& a, const B& b, const C& c) {
    const FragmentA left = a(thread());
    const FragmentB right = b(thread());
    run(T{}, c(thread()), left, right);
  }
  template <class F, class Op>
  DEFORMER_PORTABLE void over_quad(const F& f, const Op& op) {
    float& value = f(thread());
    value = op(value, other(value, 1));
    value = op(value, other(value, 2));
  }

 private:
  static DEFORMER_PORTABLE int thread() {
#if defined(__CUDA_ARCH__)
    return static_cast<int>(threadIdx.x);
#else
    return 0;
#endif
  }
  static DEFORMER_PORTABLE float other(float value, [[maybe_unused]] int far) {
#if defined(__CUDA_ARCH__)
    return __shfl_xor_sync(0xFFFF'FFFFU, value, far);
#else
    return value;
#endif
  }
  static DEFORMER_PORTABLE void run(Bf16, [[maybe_unused]] FragmentC& c,
                                    [[maybe_unused]] const FragmentA& a,
                                    [[maybe_unused]] const FragmentB& b) {
#if defined(__CUDA_ARCH__)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]),
          "r"(b.word[1]));
#endif
  }
  static DEFORMER_PORTABLE void run(F16, [[maybe_unused]] FragmentC& c,
                                    [[maybe_unused]] const FragmentA& a,
                                    [[maybe_unused]] const FragmentB& b) {
#if defined(__CUDA_ARCH__)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]),
          "r"(b.word[1]));
#endif
  }
};
#endif

template <int kThreads>
class HostBlockOf {
 public:
  template <class T>
  class PerThread {
   public:
    T& operator[](int thread) { return values_[thread]; }

   private:
    T values_[kThreads];
  };

  template <class F>
  void each(const F& f) {
    for (int thread = 0; thread < kThreads; ++thread) {
      f(thread);
    }
  }
  template <class F>
  void each_alone(const F& f) {
    each(f);
  }
  template <class T, class A, class B, class C>
  void multiply(const A& a, const B& b, const C& c) {
    for (int first = 0; first < kThreads; first += 32) {
      float left[16][16];
      float right[16][8];
      for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4;
        const int at = lane % 4 * 2;
        const FragmentA row = a(first + lane);
        const FragmentB column = b(first + lane);
        for (int half = 0; half < 2; ++half) {
          left[group][at + half] = element<T>(row.word[0], half);
          left[group + 8][at + half] = element<T>(row.word[1], half);
          left[group][at + 8 + half] = element<T>(row.word[2], half);
          left[group + 8][at + 8 + half] = element<T>(row.word[3], half);
          right[at + half][group] = element<T>(column.word[0], half);
          right[at + 8 + half][group] = element<T>(column.word[1], half);
        }
      }
      for (int lane = 0; lane < 32; ++lane) {
        FragmentC& sum = c(first + lane);
        for (int i = 0; i < 4; ++i) {
          for (int k = 0; k < 16; ++k) {
            sum.at[i] += left[lane / 4 + i / 2 * 8][k] * right[k][lane % 4 * 2 + i % 2];
          }
        }
      }
    }
  }
  template <class F, class Op>
  void over_quad(const F& f, const Op& op) {
    for (int thread = 0; thread < kThreads; thread += 4) {
      const float all = op(op(f(thread), f(thread + 1)), op(f(thread + 2), f(thread + 3)));
      for (int i = 0; i < 4; ++i) {
        f(thread + i) = all;
      }
    }
  }

 private:
  template <class T>
  static float element(std::uint32_t word, int half) {
    return to_float(T{static_cast<std::uint16_t>(word >> (16 * half))});
  }
};

using HostBlock = HostBlockOf<kBlockThreads>;

}  // namespace deformer::cuda
