// 8-bit products by AVX_VNNI.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "backends/cpu/narrow_tile_loops.hpp"

#pragma GCC target("avx2,avxvnni")

#include "backends/cpu/narrow_ymm.hpp"

namespace deformer::narrow {
namespace {

struct MultiplyAdd {
  [[gnu::always_inline]] static inline void run(__m256i& sum, __m256i a, const __m256i* b) {
    sum = _mm256_dpbusd_avx_epi32(sum, a, _mm256_load_si256(b));
  }
};

}  // namespace

NarrowTiles avx_vnni() {
  NarrowTiles set{"avx_vnni", DType::int8, 127, nothing, nothing, multiply<MultiplyAdd>};
  set.fetches_in_order = true;
  return set;
}

}  // namespace deformer::narrow

#endif
