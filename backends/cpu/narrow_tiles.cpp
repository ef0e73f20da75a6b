#include "backends/cpu/narrow_tiles.hpp"

#include <array>
#include <vector>

#include <fmt/format.h>

#include "backends/cpu/narrow_tile_loops.hpp"
#include "backends/cpu/narrow_widen_avx512.hpp"
#include "profilers/amx.hpp"

namespace deformer {
namespace {

#if defined(__x86_64__)

std::vector<NarrowTiles> find_bf16() {
  __builtin_cpu_init();
  std::vector<NarrowTiles> found;
  if (amx::usable() && __builtin_cpu_supports("amx-bf16") && narrow::has_bf16_vectors()) {
    found.push_back(narrow::amx_bf16());
  }
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl")) {
    found.push_back(narrow::avx512_bf16());
  }
  return found;
}

std::vector<NarrowTiles> find_int8() {
  __builtin_cpu_init();
  std::vector<NarrowTiles> found;
  if (amx::usable() && __builtin_cpu_supports("amx-int8") && narrow::has_bf16_vectors()) {
    found.push_back(narrow::amx_int8());
  }
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl")) {
    found.push_back(narrow::avx512_vnni());
  }
  if (__builtin_cpu_supports("avxvnni")) {
    found.push_back(narrow::avx_vnni());
  }
  if (__builtin_cpu_supports("avx2")) {
    found.push_back(narrow::avx2());
  }
  return found;
}

#else

std::vector<NarrowTiles> find_bf16() {
  return {};
}
std::vector<NarrowTiles> find_int8() {
  return {};
}

#endif

}  // namespace

std::span<const NarrowTiles> narrow_tiles(DType dtype) {
  static const std::vector<NarrowTiles> bf16 = find_bf16();
  static const std::vector<NarrowTiles> int8 = find_int8();
  if (dtype == DType::bf16) {
    return bf16;
  }
  return dtype == DType::int8 ? std::span<const NarrowTiles>(int8) : std::span<const NarrowTiles>();
}

std::string why_no_narrow_tiles(DType dtype) {
  const char* needed = dtype == DType::bf16   ? "AMX-BF16 or AVX512_BF16"
                       : dtype == DType::int8 ? "AMX-INT8, AVX512_VNNI, AVX_VNNI or AVX2"
                                              : nullptr;
  if (needed == nullptr) {
    return fmt::format("the cpu backend has no {} arithmetic (it has f32, bf16 and int8)",
                       to_string(dtype));
  }
  return fmt::format("{} needs {} instructions, which this processor does not have",
                     to_string(dtype), needed);
}

std::int64_t narrow_row_bytes(std::int64_t columns, std::int64_t element_bytes) {
  const std::int64_t panels = (columns + kNarrowColumns - 1) / kNarrowColumns;
  const std::int64_t bytes = panels * kNarrowColumns * element_bytes;
  return ((bytes + kLineBytes - 1) / kLineBytes | 1) * kLineBytes;
}

}  // namespace deformer
