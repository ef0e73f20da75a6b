// A libnvidia-ml for tests: one device, whose state the test sets through `fake_nvml`. Signatures
// as in NVML's API reference.

#include "fake/nvml.hpp"

#include <cstdio>
#include <cstring>

namespace {

FakeNvml state;

int number(long long value, unsigned long long* out) {
  if (value < 0) return 3;  // not supported
  *out = static_cast<unsigned long long>(value);
  return 0;
}
int number(long long value, unsigned* out) {
  unsigned long long wide = 0;
  const int code = number(value, &wide);
  *out = static_cast<unsigned>(wide);
  return code;
}

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};

}  // namespace

extern "C" {
FakeNvml* fake_nvml() {
  return &state;
}

int nvmlInit_v2() {
  return state.init_code;
}
int nvmlShutdown() {
  ++state.shutdowns;
  return 0;
}
const char* nvmlErrorString(int code) {
  return code == 9 ? "Driver Not Loaded" : "Not Found";
}
int nvmlSystemGetDriverVersion(char* text, unsigned length) {
  std::snprintf(text, length, "%s", "580.65.06");
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = &state;
  return index == 0 ? 0 : 2;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* bus, void** device) {
  *device = &state;
  return std::strcmp(bus, "00000000:01:00.0") == 0 ? 0 : 6;
}
int nvmlDeviceGetName(void*, char* text, unsigned length) {
  std::snprintf(text, length, "%s", "Fake H100");
  return 0;
}
int nvmlDeviceGetClockInfo(void*, int type, unsigned* out) {
  return number(type == 1 ? state.sm_clock_mhz : 2619, out);
}
int nvmlDeviceGetTemperature(void*, int, unsigned* out) {
  return number(61, out);
}
int nvmlDeviceGetPowerUsage(void*, unsigned* out) {
  return number(412'500, out);
}
// The older name alone, as drivers before 535 have it.
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* out) {
  return number(state.reasons, out);
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* out) {
  return number(state.energy_mj, out);
}
int nvmlDeviceGetViolationStatus(void*, int policy, unsigned long long* out) {
  out[0] = 0;
  return policy == 1 ? number(state.thermal_ns, &out[1]) : 3;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void*, unsigned* count, ProcessInfo* found) {
  if (state.processes < 0) return 3;
  if (static_cast<unsigned>(state.processes) > *count) {
    *count = static_cast<unsigned>(state.processes);
    return 7;  // insufficient size
  }
  *count = static_cast<unsigned>(state.processes);
  for (unsigned i = 0; i < *count; ++i) {
    found[i] = {i == 0 ? state.first_pid : 4000 + i, 1 << 20, 0, 0};
  }
  return 0;
}
}
