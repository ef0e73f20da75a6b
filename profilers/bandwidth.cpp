#include "profilers/bandwidth.hpp"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "profilers/statistics.hpp"
#include "profilers/team.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kPageBytes = 4096;
constexpr std::int64_t kHugePageBytes = 2 << 20;
constexpr std::size_t kFewestBursts = 3;
constexpr std::size_t kMostBursts = 200;

// Each kernel moves 1 KiB an iteration, so that the loop around it costs nothing and the end of
// even a small buffer is foreseen (L1: 16 iterations a pass).
constexpr std::int64_t kStepBytes = 1024;

void read_generic(char* data, std::int64_t bytes, std::int64_t passes) {
  using Vector [[gnu::vector_size(16)]] = long long;
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    Vector sums[4] = {};
    for (std::int64_t i = 0; i < bytes; i += 64) {
      const auto* from = reinterpret_cast<const Vector*>(data + i);
      for (int j = 0; j < 4; ++j) sums[j] += from[j];
    }
    asm volatile("" : : "m"(sums));
  }
}

void copy_generic(char* data, std::int64_t bytes, std::int64_t passes) {
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    std::memcpy(data + bytes / 2, data, static_cast<std::size_t>(bytes / 2));
    asm volatile("" : : : "memory");
  }
}

#if defined(__x86_64__)

// LINE(offset) loads one line of 64 bytes at `offset` from the pointer, or copies it to the other.
#define DEFORMER_LINES4(LINE, A, B, C, D) LINE(A) LINE(B) LINE(C) LINE(D)
#define DEFORMER_LINES16(LINE)                              \
  DEFORMER_LINES4(LINE, "0x000", "0x040", "0x080", "0x0c0") \
  DEFORMER_LINES4(LINE, "0x100", "0x140", "0x180", "0x1c0") \
  DEFORMER_LINES4(LINE, "0x200", "0x240", "0x280", "0x2c0") \
  DEFORMER_LINES4(LINE, "0x300", "0x340", "0x380", "0x3c0")
#define DEFORMER_STREAM(LINE) \
  ".p2align 6\n1:\n\t" DEFORMER_LINES16(LINE) "add $0x400, %[from]\n\t" \
  "add $0x400, %[to]\n\tcmp %[end], %[from]\n\tjb 1b\n\t"

#define DEFORMER_READ_YMM(AT) \
  "vmovaps " AT "(%[from]), %%ymm0\n\tvmovaps 0x20+" AT "(%[from]), %%ymm1\n\t"
#define DEFORMER_READ_ZMM(AT) "vmovaps " AT "(%[from]), %%zmm0\n\t"
#define DEFORMER_COPY_YMM(AT)                           \
  "vmovaps " AT "(%[from]), %%ymm0\n\tvmovaps 0x20+" AT \
  "(%[from]), %%ymm1\n\t"                               \
  "vmovaps %%ymm0, " AT "(%[to])\n\tvmovaps %%ymm1, 0x20+" AT "(%[to])\n\t"
#define DEFORMER_COPY_ZMM(AT) "vmovaps " AT "(%[from]), %%zmm0\n\tvmovaps %%zmm0, " AT "(%[to])\n\t"

/// Passes of LINE over the first `length` bytes; `to` is where copies go.
#define DEFORMER_PASSES(LINE, LENGTH)                  \
  for (std::int64_t pass = 0; pass < passes; ++pass) { \
    const char* from = data;                           \
    char* to = data + bytes / 2;                       \
    asm volatile(DEFORMER_STREAM(LINE)                 \
                 : [from] "+&r"(from), [to] "+&r"(to)  \
                 : [end] "r"(data + (LENGTH))          \
                 : "xmm0", "xmm1", "cc", "memory");    \
  }                                                    \
  asm volatile("vzeroupper" : : : "xmm0", "xmm1")

void read_avx2(char* data, std::int64_t bytes, std::int64_t passes) {
  DEFORMER_PASSES(DEFORMER_READ_YMM, bytes);
}
void copy_avx2(char* data, std::int64_t bytes, std::int64_t passes) {
  DEFORMER_PASSES(DEFORMER_COPY_YMM, bytes / 2);
}
void read_avx512(char* data, std::int64_t bytes, std::int64_t passes) {
  DEFORMER_PASSES(DEFORMER_READ_ZMM, bytes);
}
void copy_avx512(char* data, std::int64_t bytes, std::int64_t passes) {
  DEFORMER_PASSES(DEFORMER_COPY_ZMM, bytes / 2);
}

#endif

struct Streams {
  void (*read)(char*, std::int64_t, std::int64_t);
  void (*copy)(char*, std::int64_t, std::int64_t);
};

Streams choose_streams() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return {read_avx512, copy_avx512};
  if (__builtin_cpu_supports("avx2")) return {read_avx2, copy_avx2};
#endif
  return {read_generic, copy_generic};
}

}  // namespace

void StreamBuffers::Free::operator()(char* pointer) const {
  std::free(pointer);
}

StreamBuffers::StreamBuffers(int threads, std::int64_t bytes)
    : threads_(std::max(threads, 1)),
      bytes_(std::max(bytes / kPageBytes, std::int64_t{1}) * kPageBytes),
      buffers_(static_cast<std::size_t>(threads_)) {
  static_assert(kPageBytes % (2 * kStepBytes) == 0, "halves are made of whole steps");
  const auto size = static_cast<std::size_t>(bytes_);
  const auto alignment =
      static_cast<std::size_t>(bytes_ < kHugePageBytes ? kPageBytes : kHugePageBytes);
  for (auto& buffer : buffers_) {
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, size) != 0) throw std::bad_alloc();
    buffer.reset(static_cast<char*>(memory));
    if (bytes_ >= kHugePageBytes) madvise(memory, size, MADV_HUGEPAGE);  // a wish
  }
#pragma omp parallel num_threads(threads_)
  {
    const auto team = static_cast<std::size_t>(omp_get_num_threads());
    for (auto i = static_cast<std::size_t>(omp_get_thread_num()); i < buffers_.size(); i += team) {
      std::memset(buffers_[i].get(), 1, size);
    }
  }
}

void StreamBuffers::measure(Stream stream, std::int64_t burst_ns, std::int64_t limit_ns,
                            double& best_gb_per_s, double& median_gb_per_s) {
  const auto burst = [&](std::int64_t passes) {
    const auto own = [this] {
      return buffers_[static_cast<std::size_t>(omp_get_thread_num())].get();
    };
    // The small buffers come into their cache again before the clock starts.
    const bool small = bytes_ < kHugePageBytes;
    return time_team(
        threads_, [&] { stream(own(), small ? bytes_ : kPageBytes, 1); },
        [&] { stream(own(), bytes_, passes); });
  };
  const auto quickest_ns = [&](std::int64_t passes) {  // held up by nobody, at best
    std::int64_t quickest = burst(passes).elapsed_ns;
    for (int i = 0; i < 4 && quickest < burst_ns * 20; ++i) {
      quickest = std::min(quickest, burst(passes).elapsed_ns);
    }
    return quickest;
  };
  settle_team(threads_);
  const std::int64_t start_ns = now_ns();
  std::int64_t passes = 1;
  for (std::int64_t took_ns = quickest_ns(passes); took_ns < burst_ns;
       took_ns = quickest_ns(passes)) {
    const double grow = 1.1 * static_cast<double>(burst_ns) / static_cast<double>(took_ns);
    passes = std::llround(std::ceil(static_cast<double>(passes) * std::clamp(grow, 1.1, 100.0)));
  }
  std::vector<double> rates;
  while (rates.size() < kFewestBursts ||
         (rates.size() < kMostBursts && now_ns() - start_ns < limit_ns)) {
    const TeamTime time = burst(passes);
    const double moved = static_cast<double>(bytes_) * static_cast<double>(passes) *
                         static_cast<double>(time.threads);
    rates.push_back(moved / static_cast<double>(time.elapsed_ns));  // bytes a ns: GB a second
  }
  best_gb_per_s = *std::max_element(rates.begin(), rates.end());
  median_gb_per_s = *median(rates);
}

Bandwidth StreamBuffers::measure(std::int64_t burst_ns, std::int64_t limit_ns) {
  const Streams streams = choose_streams();
  Bandwidth result;
  measure(streams.read, burst_ns, limit_ns / 2, result.read_gb_per_s, result.read_median_gb_per_s);
  measure(streams.copy, burst_ns, limit_ns / 2, result.copy_gb_per_s, result.copy_median_gb_per_s);
  return result;
}

}  // namespace deformer
