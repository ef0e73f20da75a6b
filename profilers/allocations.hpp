#pragma once
/// Calls of operator new, where the program counts them (cli/allocations.cpp replaces operator new;
/// test programs have books of their own). malloc of C libraries is not seen.

#include <atomic>
#include <cstdint>

namespace deformer {

struct AllocationCount {
  std::atomic<bool> counted{false};
  std::atomic<std::int64_t> calls{0};
  std::atomic<std::int64_t> bytes{0};
};

inline constinit AllocationCount allocation_count;

}  // namespace deformer
