// What register tiles share: vectors of floats, how many there are, and the multiply-add. Included
// once for each instruction set, after Highway (hence no ordinary guard).

#include <hwy/highway.h>

#if defined(DEFORMER_MULTIPLY_ADD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef DEFORMER_MULTIPLY_ADD_INL
#undef DEFORMER_MULTIPLY_ADD_INL
#else
#define DEFORMER_MULTIPLY_ADD_INL
#endif

#undef DEFORMER_UNROLL
#define DEFORMER_UNROLL _Pragma("GCC unroll 16")

// Vector registers.
#undef DEFORMER_REGISTERS
#if HWY_TARGET == HWY_AVX3 || defined(__aarch64__)
#define DEFORMER_REGISTERS 32
#else
#define DEFORMER_REGISTERS 16
#endif

HWY_BEFORE_NAMESPACE();
namespace deformer::HWY_NAMESPACE {

using Tag = hwy::HWY_NAMESPACE::ScalableTag<float>;
using Vector = hwy::HWY_NAMESPACE::Vec<Tag>;

/// sum += a b. GCC 12 folds the load of b into each of several multiply-adds that use it (16 loads
/// for 12 multiply-adds, 71 instead of 100 GFLOP/s a core on Zen 3); an instruction it can't see
/// into keeps b in its register.
HWY_INLINE void MultiplyAdd(Vector& sum, Vector a, Vector b) {
#if (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3) && defined(__GNUC__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
#else
  sum = hwy::HWY_NAMESPACE::MulAdd(a, b, sum);
#endif
}

/// Rows of a tile `vectors` wide, `most` at most: sums, the vectors of B and one broadcast of A
/// must fit the registers.
constexpr int TileRows(int vectors, int most) {
  const int rows = (DEFORMER_REGISTERS - 1 - vectors) / vectors;
  return rows < most ? rows : most;
}

}  // namespace deformer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
