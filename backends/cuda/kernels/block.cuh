#pragma once
/// One block of warps, as the attention kernels see it: here the device's, in host_block.hpp one
/// whose threads are walked through on the host.
///
///   PerThread<T>       a value a thread has of its own (registers)
///   each(f)            f(thread) for every thread, then a barrier
///   each_alone(f)      the same without a barrier: what touches registers and rows of its own only
///   when(holds, body)  body() by the warps whose threads' holds(thread) is true: the same for all
///                      of a warp. No barrier may be in it
///   multiply(a, b, c)  c(thread) += fragments a(thread) times b(thread): 16 x 16 by 16 x 8 a warp
///   over_quad(f, op)   f(thread), a float&, becomes op over the 4 threads that share its rows
///   load_matrices<kTransposed>(from, to)
///                      four matrices of 8 x 8 elements of 16 bits: matrix i's row r is the 16
///                      bytes at from(thread 8 i + r of the warp); to(thread).word[i] becomes row
///                      g's columns 2t and 2t + 1, or transposed column g's rows 2t and 2t + 1
///   copy<kBytes>(to, from, there)
///                      a thread's: begins to copy 8 or 16 bytes to shared memory, or as many zeros
///   commit()           all threads': what was begun since the last one is a group
///   await<kLeft>()     all groups but the kLeft newest ones have arrived and are seen by everyone.
///                      Is a barrier
///
/// Fragments of a warp's product (PTX ISA, mma.m16n8k16), g = lane / 4, t = lane % 4:
///   A  4 words: (row g, k 2t..), (row g+8, k 2t..), (row g, k 2t+8..), (row g+8, k 2t+8..)
///   B  2 words: (k 2t.., column g), (k 2t+8.., column g)
///   C  4 floats: (row g, columns 2t, 2t+1), (row g+8, columns 2t, 2t+1)
/// a word holding two neighbours in k, the first in its lower half.

#include <cstdint>

#include "backends/cuda/kernels/async_copy.cuh"
#include "backends/cuda/kernels/numbers.cuh"
#include "backends/cuda/kernels/portable.hpp"
#include "backends/cuda/kernels/quick_math.cuh"

namespace deformer::cuda {

/// The same number, which the compiler does not know to be that: in a loop, what follows from it is
/// calculated again each time instead of being kept in registers.
DEFORMER_PORTABLE int afresh(int value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(value));
#endif
  return value;
}

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
  template <class Holds, class Body>
  DEFORMER_PORTABLE void when(const Holds& holds, const Body& body) {
    if (holds(thread())) {
      body();
    }
  }
  template <bool kTransposed, class From, class To>
  DEFORMER_PORTABLE void load_matrices(const From& from, const To& to) {
    [[maybe_unused]] FragmentA& result = to(thread());
    [[maybe_unused]] const void* row = from(thread());
#if defined(__CUDA_ARCH__)
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
    if constexpr (kTransposed) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(result.word[0]), "=r"(result.word[1]), "=r"(result.word[2]),
                     "=r"(result.word[3])
                   : "r"(address)
                   : "memory");
    } else {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(result.word[0]), "=r"(result.word[1]), "=r"(result.word[2]),
                     "=r"(result.word[3])
                   : "r"(address)
                   : "memory");
    }
#endif
  }
  template <int kBytes>
  DEFORMER_PORTABLE void copy(void* to, const void* from, bool there) {
    copy_async<kBytes>(to, from, there);
  }
  DEFORMER_PORTABLE void commit() {
#if defined(__CUDA_ARCH__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
  }
  template <int kLeft>
  DEFORMER_PORTABLE void await() {
#if defined(__CUDA_ARCH__)
    asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
    __syncthreads();
#endif
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

}  // namespace deformer::cuda
