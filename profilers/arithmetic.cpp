#include "profilers/arithmetic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "profilers/amx.hpp"
#include "profilers/arithmetic_amx.hpp"
#include "profilers/team.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace deformer {
namespace {

// Twelve independent chains hide the latency of a multiply-add (4 or 5 cycles, 2 a cycle: 8 or 10
// needed) and leave registers for the constants even where there are only 16.
constexpr int kChains = 12;

// x <- x * a + b with these settles at 1: never denormal nor infinite.
constexpr float kFactor = 0.5F;
constexpr float kAddend = 0.5F;

/// Four floats are what every 64-bit processor of today has at least.
void f32_generic(std::int64_t iterations) {
  using Vector [[gnu::vector_size(16)]] = float;
  constexpr Vector kFactors = {kFactor, kFactor, kFactor, kFactor};
  constexpr Vector kAddends = {kAddend, kAddend, kAddend, kAddend};
  std::array<Vector, kChains> x{};
  for (std::int64_t i = 0; i < iterations; ++i) {
    for (Vector& chain : x) chain = chain * kFactors + kAddends;
  }
  asm volatile("" : : "m"(x));  // somebody may look at the result: the loop stays
}

#if defined(__x86_64__)

// Text of the assembly: STEP("n") on chains 0 to 11, whose registers start at zero.
#define DEFORMER_TWELVE(STEP) \
  STEP("0")                   \
  STEP("1")                   \
  STEP("2")                   \
  STEP("3") STEP("4") STEP("5") STEP("6") STEP("7") STEP("8") STEP("9") STEP("10") STEP("11")
#define DEFORMER_ZERO(N) "vpxor %%xmm" N ", %%xmm" N ", %%xmm" N "\n\t"
#define DEFORMER_LOOP(STEP) \
  DEFORMER_TWELVE(DEFORMER_ZERO) ".p2align 6\n1:\n\t" DEFORMER_TWELVE(STEP) "dec %[n]\n\tjnz " \
                                                                            "1b\n\t"
#define DEFORMER_CHAINS                                                                    \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "cc"

#define DEFORMER_F32_YMM(N) "vfmadd213ps %[b], %[a], %%ymm" N "\n\t"
__attribute__((target("avx2,fma"))) void f32_avx2(std::int64_t iterations) {
  const __m256 a = _mm256_set1_ps(kFactor);
  const __m256 b = _mm256_set1_ps(kAddend);
  asm volatile(DEFORMER_LOOP(DEFORMER_F32_YMM)
               : [n] "+r"(iterations)
               : [a] "x"(a), [b] "x"(b)
               : DEFORMER_CHAINS);
  _mm256_zeroupper();
}

#define DEFORMER_F32_ZMM(N) "vfmadd213ps %[b], %[a], %%zmm" N "\n\t"
__attribute__((target("avx512f"))) void f32_avx512(std::int64_t iterations) {
  const __m512 a = _mm512_set1_ps(kFactor);
  const __m512 b = _mm512_set1_ps(kAddend);
  asm volatile(DEFORMER_LOOP(DEFORMER_F32_ZMM)
               : [n] "+r"(iterations)
               : [a] "v"(a), [b] "v"(b)
               : DEFORMER_CHAINS);
  _mm256_zeroupper();
}

// Sums of products of ones grow until an f32 no longer changes (2^25), or wrap around in int32.

#define DEFORMER_BF16_ZMM(N) "vdpbf16ps %[a], %[a], %%zmm" N "\n\t"
__attribute__((target("avx512f"))) void bf16_avx512(std::int64_t iterations) {
  const __m512i ones = _mm512_set1_epi16(0x3f80);
  asm volatile(DEFORMER_LOOP(DEFORMER_BF16_ZMM)
               : [n] "+r"(iterations)
               : [a] "v"(ones)
               : DEFORMER_CHAINS);
  _mm256_zeroupper();
}

#define DEFORMER_INT8_ZMM(N) "vpdpbusd %[a], %[a], %%zmm" N "\n\t"
__attribute__((target("avx512f"))) void int8_avx512_vnni(std::int64_t iterations) {
  const __m512i ones = _mm512_set1_epi32(0x01010101);
  asm volatile(DEFORMER_LOOP(DEFORMER_INT8_ZMM)
               : [n] "+r"(iterations)
               : [a] "v"(ones)
               : DEFORMER_CHAINS);
  _mm256_zeroupper();
}

#define DEFORMER_INT8_VNNI_YMM(N) "%{vex%} vpdpbusd %[a], %[a], %%ymm" N "\n\t"
__attribute__((target("avx2"))) void int8_avx_vnni(std::int64_t iterations) {
  const __m256i ones = _mm256_set1_epi8(1);
  asm volatile(DEFORMER_LOOP(DEFORMER_INT8_VNNI_YMM)
               : [n] "+r"(iterations)
               : [a] "x"(ones)
               : DEFORMER_CHAINS);
  _mm256_zeroupper();
}

/// Without VNNI: bytes to pairs of 16 bits, pairs to 32 bits, added. Of three instructions only the
/// products count. ymm12 is the place in between: renamed each time, so no chain.
#define DEFORMER_INT8_YMM(N)                   \
  "vpmaddubsw %[bytes], %[bytes], %%ymm12\n\t" \
  "vpmaddwd %[words], %%ymm12, %%ymm12\n\t"    \
  "vpaddd %%ymm12, %%ymm" N ", %%ymm" N "\n\t"
__attribute__((target("avx2"))) void int8_avx2(std::int64_t iterations) {
  const __m256i bytes = _mm256_set1_epi8(1);
  const __m256i words = _mm256_set1_epi16(1);
  asm volatile(DEFORMER_LOOP(DEFORMER_INT8_YMM)
               : [n] "+r"(iterations)
               : [bytes] "x"(bytes), [words] "x"(words)
               : DEFORMER_CHAINS, "xmm12");
  _mm256_zeroupper();
}

std::vector<ArithmeticLoop> find_loops() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f");
  std::vector<ArithmeticLoop> loops;
  const auto add = [&loops](bool there, const ArithmeticLoop& loop) {
    if (there) loops.push_back(loop);
  };
  add(avx512, {"f32", "avx512f", "vfmadd213ps zmm", 2.0 * 16 * kChains, f32_avx512});
  add(avx2, {"f32", "avx2", "vfmadd213ps ymm", 2.0 * 8 * kChains, f32_avx2});
  add(!avx2 && !avx512, {"f32", "generic", "mulps, addps", 2.0 * 4 * kChains, f32_generic});
  const bool bf16_tiles = amx::usable() && __builtin_cpu_supports("amx-bf16");
  const bool int8_tiles = amx::usable() && __builtin_cpu_supports("amx-int8");
  add(bf16_tiles, {"bf16", "amx_bf16", "tdpbf16ps tmm", amx::kBf16Operations, amx::bf16_loop});
  add(bf16_tiles, {"bf16", "amx_bf16_loaded", "tdpbf16ps tmm, random factors from L1",
                   amx::kBf16Operations, amx::bf16_loaded_loop});
  add(avx512 && __builtin_cpu_supports("avx512bf16"),
      {"bf16", "avx512_bf16", "vdpbf16ps zmm", 2.0 * 32 * kChains, bf16_avx512});
  add(int8_tiles, {"int8", "amx_int8", "tdpbusd tmm", amx::kInt8Operations, amx::int8_loop});
  add(int8_tiles, {"int8", "amx_int8_loaded", "tdpbusd tmm, random factors from L1",
                   amx::kInt8Operations, amx::int8_loaded_loop});
  add(avx512 && __builtin_cpu_supports("avx512vnni"),
      {"int8", "avx512_vnni", "vpdpbusd zmm", 2.0 * 64 * kChains, int8_avx512_vnni});
  add(__builtin_cpu_supports("avxvnni"),
      {"int8", "avx_vnni", "vpdpbusd ymm", 2.0 * 32 * kChains, int8_avx_vnni});
  add(avx2, {"int8", "avx2", "vpmaddubsw, vpmaddwd, vpaddd ymm", 2.0 * 32 * kChains, int8_avx2});
  return loops;
}

#else

std::vector<ArithmeticLoop> find_loops() {
  return {{"f32", "generic", "16-byte vectors", 2.0 * 4 * kChains, f32_generic}};
}

#endif

constexpr std::int64_t kFewestIterations = 100;
constexpr std::int64_t kMostIterations = 10'000'000;

}  // namespace

std::span<const ArithmeticLoop> arithmetic_loops() {
  static const std::vector<ArithmeticLoop> loops = find_loops();
  return loops;
}

const ArithmeticLoop* widest_loop(std::string_view dtype) {
  const auto loops = arithmetic_loops();
  const auto found = std::find_if(loops.begin(), loops.end(), [dtype](const ArithmeticLoop& loop) {
    return loop.dtype == dtype;
  });
  return found == loops.end() ? nullptr : &*found;
}

std::string why_no_loop(std::string_view dtype) {
  if (widest_loop(dtype) != nullptr) return {};
  if (dtype == "bf16") return "this processor has neither AMX-BF16 nor AVX512_BF16 instructions";
  if (dtype == "int8") return "this processor has neither AVX2 nor VNNI instructions";
  return fmt::format("no arithmetic of type {} is measured", dtype);
}

double burst_rate(const ArithmeticLoop& loop, int threads, std::int64_t iterations) {
  const std::int64_t few = std::max<std::int64_t>(iterations / 8, 1);
  const TeamTime time = time_team(
      threads, [&] { loop.run(few); }, [&] { loop.run(iterations); });
  return loop.operations * static_cast<double>(iterations) * static_cast<double>(time.threads) /
         (static_cast<double>(time.elapsed_ns) * 1e-9);
}

std::int64_t iterations_lasting(const ArithmeticLoop& loop, std::int64_t target_ns) {
  std::int64_t iterations = 1000;
  for (int pass = 0; pass < 2; ++pass) {
    double best = 0;
    for (int i = 0; i < 12; ++i) best = std::max(best, burst_rate(loop, 1, iterations));
    const double wanted = static_cast<double>(target_ns) * 1e-9 * best / loop.operations;
    iterations = std::clamp<std::int64_t>(std::llround(wanted), kFewestIterations, kMostIterations);
  }
  return iterations;
}

}  // namespace deformer
