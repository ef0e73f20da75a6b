#pragma once
/// The one clock of the project: monotonic nanoseconds.

#include <chrono>
#include <cstdint>

namespace deformer {

inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace deformer
