#pragma once
/// Calls of operator new, where the program counts them (cli/allocations.cpp replaces operator new;
/// test programs have books of their own). malloc of C libraries is not seen.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace deformer {

/// A sum that many threads add to. One atomic for all of them cost a quarter of the time of reading
/// a long file on two threads, its cache line going to and fro; so threads take turns at several.
class SharedSum {
 public:
  void add(std::int64_t value) {
    static constinit std::atomic<std::size_t> next{0};
    thread_local constinit std::size_t mine = kParts;  // not yet known
    if (mine == kParts) mine = next.fetch_add(1, std::memory_order_relaxed) % kParts;
    parts_[mine].value.fetch_add(value, std::memory_order_relaxed);
  }
  std::int64_t load() const {
    std::int64_t sum = 0;
    for (const Part& part : parts_) sum += part.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  static constexpr std::size_t kParts = 32;
  struct alignas(128) Part {  // two lines: processors fetch them in pairs
    std::atomic<std::int64_t> value{0};
  };
  std::array<Part, kParts> parts_{};
};

struct AllocationCount {
  std::atomic<bool> counted{false};
  SharedSum calls, bytes;
};

inline constinit AllocationCount allocation_count;

}  // namespace deformer
