#pragma once
/// Watches a device over the rounds of a measurement: a round in which heat or hardware protection
/// held its clocks down is no measurement of the code.

#include <cstdint>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "profilers/nvml.hpp"

namespace deformer {

class DeviceWatch {
 public:
  explicit DeviceWatch(const std::string& bus, const std::string& library = "libnvidia-ml.so.1")
      : device_(bus, library) {}

  /// Why nothing is watched; empty when it is.
  const std::string& missing() const { return device_.missing(); }

  /// A new measurement: forgets what was seen.
  void start();
  void before_round() { before_ = device_.read(); }
  /// Whether the round since before_round was held down. Looks at the clocks' reasons at both ends
  /// and at the time the device says it spent held down by heat in between.
  bool after_round();
  /// Nothing more is measured: what the whole of it took is known from here on.
  void stop();

  /// What was seen: {"name","driver","sm_clock_mhz":{"min","max"},"power_w":...,"energy_j":...,
  /// "clock_reasons":"power cap","throttled_rounds":2,"other_processes":0} or {"missing":...}.
  nlohmann::ordered_json json() const;

 private:
  void see(const DeviceReading& reading);

  NvmlDevice device_;
  DeviceReading before_, first_, last_;
  std::uint64_t reasons_ = 0;
  std::int64_t throttled_ = 0;
  int lowest_mhz_ = std::numeric_limits<int>::max();
  int highest_mhz_ = 0;
  int most_others_ = -1;
};

}  // namespace deformer
