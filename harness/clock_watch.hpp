#pragma once
/// Notices a clock that is not what it was: a wall clock that is set, a machine that was suspended
/// or moved, a time that another process tells and we did not see pass.

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace deformer {

/// Both clocks, read together.
struct ClockReading {
  std::int64_t monotonic_ns = 0;
  std::int64_t realtime_ns = 0;
};
ClockReading read_clocks();
/// {"monotonic_ns":...,"realtime_ns":...}
nlohmann::ordered_json clock_json(const ClockReading& reading);

/// One process's clocks, reading after reading. The wall clock may run faster or slower than the
/// monotonic one by 500 ppm while it is slewed (adjtimex(2)); more than twice that, and more than
/// 50 ms in all, is a step.
class ClockWatch {
 public:
  /// What is wrong with this reading, in words; empty when nothing is.
  std::string look(const ClockReading& reading);

 private:
  std::optional<ClockReading> first_;
  std::optional<ClockReading> last_;
};

}  // namespace deformer
