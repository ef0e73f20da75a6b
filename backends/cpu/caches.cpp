#include "backends/cpu/caches.hpp"

#include <unistd.h>

namespace deformer {

std::int64_t second_level_cache_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const std::int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (found > 0) {
    return found;
  }
#endif
  return std::int64_t{1} << 20;
}

bool fetch_weights_in_order() {
#if defined(__x86_64__)
  static const bool found = [] {
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") != 0;
  }();
  return found;
#else
  return false;
#endif
}

}  // namespace deformer
