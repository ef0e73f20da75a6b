#include "profilers/device_watch.hpp"

#include <algorithm>

#include "profilers/or_null.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

bool spoiled(const DeviceReading& reading) {
  return (reading.clock_reasons.value_or(0) & kSpoilingReasons) != 0;
}

}  // namespace

void DeviceWatch::start() {
  reasons_ = 0;
  throttled_ = 0;
  lowest_mhz_ = std::numeric_limits<int>::max();
  highest_mhz_ = 0;
  most_others_ = -1;
  first_ = last_ = device_.read();
}

void DeviceWatch::see(const DeviceReading& reading) {
  // Before its first work a device may rest at its lowest clock: that is no finding.
  reasons_ |= reading.clock_reasons.value_or(0) & ~std::uint64_t{kClockIdle};
  if (reading.sm_clock_mhz) {
    lowest_mhz_ = std::min(lowest_mhz_, *reading.sm_clock_mhz);
    highest_mhz_ = std::max(highest_mhz_, *reading.sm_clock_mhz);
  }
  most_others_ = std::max(most_others_, reading.other_processes.value_or(-1));
}

bool DeviceWatch::after_round() {
  const DeviceReading after = device_.read();
  see(after);
  const bool slowed = before_.thermal_slowed_ns && after.thermal_slowed_ns &&
                      *after.thermal_slowed_ns > *before_.thermal_slowed_ns;
  const bool throttled = slowed || spoiled(before_) || spoiled(after);
  throttled_ += throttled ? 1 : 0;
  return throttled;
}

void DeviceWatch::stop() {
  last_ = device_.read();
}

ordered_json DeviceWatch::json() const {
  if (!missing().empty()) {
    return {{"missing", missing()}};
  }
  ordered_json clock = nullptr;
  if (highest_mhz_ > 0) {
    clock = {{"min", lowest_mhz_}, {"max", highest_mhz_}};
  }
  const bool energy = first_.energy_j && last_.energy_j;
  return {{"name", device_.name()},
          {"driver", device_.driver()},
          {"sm_clock_mhz", clock},
          {"memory_clock_mhz", or_null(last_.memory_clock_mhz)},
          {"temperature_c", or_null(last_.temperature_c)},
          {"power_w", or_null(last_.power_w)},
          {"energy_j", energy ? ordered_json(*last_.energy_j - *first_.energy_j) : ordered_json()},
          {"clock_reasons", clock_reasons_text(reasons_)},
          {"throttled_rounds", throttled_},
          {"other_processes", most_others_ < 0 ? ordered_json() : ordered_json(most_others_)}};
}

}  // namespace deformer
