// 8-bit products by plain AVX2, which multiplies bytes into 16-bit pairs that saturate (hence the
// limit on weights) and widens them by a product with ones.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "backends/cpu/narrow_tile_loops.hpp"

#pragma GCC target("avx2")

#include "backends/cpu/narrow_ymm.hpp"

namespace deformer::narrow {
namespace {

struct MultiplyAdd {
  [[gnu::always_inline]] static inline void run(__m256i& sum, __m256i a, const __m256i* b) {
    const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_load_si256(b));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

NarrowTiles avx2() {
  NarrowTiles set{"avx2", DType::int8, 64, nothing, nothing, multiply<MultiplyAdd>};
  set.fetches_in_order = true;
  return set;
}

}  // namespace deformer::narrow

#endif
