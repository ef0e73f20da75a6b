#pragma once
/// What the fake libnvidia-ml says; below 0: not supported.

struct FakeNvml {
  int init_code = 0;
  int shutdowns = 0;
  long long sm_clock_mhz = 1980;
  long long reasons = 0;
  long long energy_mj = 5'000'000;
  long long thermal_ns = 0;
  int processes = 0;
  unsigned first_pid = 1;
};
