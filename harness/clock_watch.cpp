#include "harness/clock_watch.hpp"

#include <cmath>
#include <ctime>

#include <fmt/format.h>

namespace deformer {
namespace {

constexpr double kMostSlew = 1e-3;
constexpr double kSmallestStepNs = 50e6;

std::int64_t ns_of(clockid_t clock) {
  timespec time{};
  (void)clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

/// In double: readings come from other processes and may be anything.
double difference(std::int64_t a, std::int64_t b) {
  return static_cast<double>(a) - static_cast<double>(b);
}

}  // namespace

ClockReading read_clocks() {
  return {ns_of(CLOCK_MONOTONIC), ns_of(CLOCK_REALTIME)};
}

nlohmann::ordered_json clock_json(const ClockReading& reading) {
  return {{"monotonic_ns", reading.monotonic_ns}, {"realtime_ns", reading.realtime_ns}};
}

std::string ClockWatch::look(const ClockReading& reading) {
  if (!first_) {
    first_ = last_ = reading;
    return "";
  }
  const double back_ns = difference(last_->monotonic_ns, reading.monotonic_ns);
  last_ = reading;
  if (back_ns > 0) {
    return fmt::format("its monotonic clock went back by {:.3f} s", back_ns * 1e-9);
  }
  const double passed_ns = difference(reading.monotonic_ns, first_->monotonic_ns);
  const double wall_ns = difference(reading.realtime_ns, first_->realtime_ns);
  const double step_ns = wall_ns - passed_ns;
  if (std::abs(step_ns) > std::max(kSmallestStepNs, kMostSlew * passed_ns)) {
    return fmt::format("its wall clock moved {:.3f} s against the monotonic one", step_ns * 1e-9);
  }
  return "";
}

}  // namespace deformer
