#pragma once
/// NVIDIA's management library, loaded at run time: clocks, what holds them down, energy, who else
/// is on the device. It comes with the driver; there is no header of it where there is only a
/// toolkit, so the few functions used are declared here (NVML API reference, "Device Queries").

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace deformer {

/// Why clocks are below what the device could do: bits of nvmlClocksEventReasons.
enum ClockReason : std::uint64_t {
  kClockIdle = 0x1,
  kClockApplicationSetting = 0x2,
  kClockPowerCap = 0x4,
  kClockHardwareSlowdown = 0x8,
  kClockSyncBoost = 0x10,
  kClockSoftwareThermal = 0x20,
  kClockHardwareThermal = 0x40,
  kClockPowerBrake = 0x80,
  kClockDisplaySetting = 0x100,
};

/// Those that spoil a measurement: heat, and hardware that protects itself. Running into the power
/// cap does not: under large products that is how a device of this kind works, minute after minute.
inline constexpr std::uint64_t kSpoilingReasons =
    kClockHardwareSlowdown | kClockSoftwareThermal | kClockHardwareThermal | kClockPowerBrake;

/// "power cap, software thermal slowdown"; "none" for 0.
std::string clock_reasons_text(std::uint64_t reasons);

/// What one look at a device found; nullopt where it does not tell.
struct DeviceReading {
  std::optional<int> sm_clock_mhz, memory_clock_mhz, temperature_c;
  std::optional<double> power_w;
  std::optional<std::uint64_t> clock_reasons;
  std::optional<double> energy_j;                 ///< since the driver was loaded
  std::optional<std::int64_t> thermal_slowed_ns;  ///< time spent held down by heat, ever growing
  std::optional<int> other_processes;             ///< that compute on it, beside this one
};

/// One device.
class NvmlDevice {
 public:
  /// `bus` as "00000000:01:00.0"; empty takes the first device. `library` for tests.
  explicit NvmlDevice(const std::string& bus, const std::string& library = "libnvidia-ml.so.1");
  ~NvmlDevice();
  NvmlDevice(const NvmlDevice&) = delete;
  NvmlDevice& operator=(const NvmlDevice&) = delete;

  /// Why it can't be read; empty when it can.
  const std::string& missing() const { return missing_; }
  const std::string& name() const { return name_; }
  const std::string& driver() const { return driver_; }
  /// Everything; nothing of what the device or driver does not tell. Never throws.
  DeviceReading read() const;

 private:
  struct Library;
  void open(const std::string& bus, const std::string& library);

  std::unique_ptr<Library> library_;
  std::string missing_, name_, driver_;
};

}  // namespace deformer
