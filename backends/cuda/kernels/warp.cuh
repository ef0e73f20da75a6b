#pragma once
/// One warp, as row kernels see it: on the device the 32 lanes run side by side and reduce by
/// shuffles; on the host one thread walks through them, with the same order of additions.
///
///   PerLane<T>   a value a lane has of its own (registers)
///   each(f)      f(lane) for every lane
///   sum(f)       sum of f(lane) over the warp, known to all

#include <cstdint>

#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

inline constexpr int kLanes = 32;

#if defined(__CUDACC__)
/// Compiled for the host too, where nobody calls it: templates that take it are portable.
class DeviceWarp {
 public:
  template <class T>
  class PerLane {
   public:
    DEFORMER_PORTABLE T& operator[](int) { return value_; }

   private:
    T value_;
  };

  template <class F>
  DEFORMER_PORTABLE void each(const F& f) {
    f(lane());
  }
  template <class F>
  DEFORMER_PORTABLE float sum(const F& f) {
    float value = f(lane());
#if defined(__CUDA_ARCH__)
    DEFORMER_UNROLL
    for (int far = kLanes / 2; far > 0; far /= 2) {
      value += __shfl_xor_sync(0xFFFF'FFFFU, value, far);
    }
#endif
    return value;
  }

 private:
  static DEFORMER_PORTABLE int lane() {
#if defined(__CUDA_ARCH__)
    return static_cast<int>(threadIdx.x) % kLanes;
#else
    return 0;
#endif
  }
};
#endif

class HostWarp {
 public:
  template <class T>
  class PerLane {
   public:
    T& operator[](int lane) { return values_[lane]; }

   private:
    T values_[kLanes];
  };

  template <class F>
  void each(const F& f) {
    for (int lane = 0; lane < kLanes; ++lane) {
      f(lane);
    }
  }
  template <class F>
  float sum(const F& f) {
    float values[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      values[lane] = f(lane);
    }
    for (int far = kLanes / 2; far > 0; far /= 2) {
      for (int lane = 0; lane < far; ++lane) {  // lanes far apart hold the same sum
        values[lane] += values[lane + far];
      }
    }
    return values[0];
  }
};

}  // namespace deformer::cuda
