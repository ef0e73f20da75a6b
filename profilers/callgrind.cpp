#include "profilers/callgrind.hpp"

#if DEFORMER_HAVE_VALGRIND
#include <valgrind/callgrind.h>
#endif

namespace deformer {

#if DEFORMER_HAVE_VALGRIND

bool callgrind_known() {
  return true;
}

bool under_valgrind() {
  return RUNNING_ON_VALGRIND != 0;
}

void callgrind_start() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

void callgrind_dump(const char* label) {
  CALLGRIND_DUMP_STATS_AT(label);
}

void callgrind_stop() {
  CALLGRIND_STOP_INSTRUMENTATION;
}

#else

bool callgrind_known() {
  return false;
}
bool under_valgrind() {
  return false;
}
void callgrind_start() {}
void callgrind_dump(const char*) {}
void callgrind_stop() {}

#endif

std::string offered_isa() {
  std::string isa;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const auto add = [&isa](bool offered, const char* name) {
    if (offered) {
      isa.append(isa.empty() ? "" : " ").append(name);
    }
  };
  add(__builtin_cpu_supports("avx2") != 0, "avx2");
  add(__builtin_cpu_supports("fma") != 0, "fma");
  add(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  add(__builtin_cpu_supports("avx512vnni") != 0, "avx512_vnni");
  add(__builtin_cpu_supports("avx512bf16") != 0, "avx512_bf16");
  add(__builtin_cpu_supports("amx-tile") != 0, "amx_tile");
#endif
  return isa.empty() ? "generic" : isa;
}

}  // namespace deformer
