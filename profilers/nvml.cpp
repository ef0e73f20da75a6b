#include "profilers/nvml.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace deformer {
namespace {

using Device = void*;
constexpr int kSuccess = 0;
constexpr int kInsufficientSize = 7;
constexpr int kClockSm = 1;
constexpr int kClockMemory = 2;
constexpr int kTemperatureGpu = 0;
constexpr int kPolicyThermal = 1;
constexpr unsigned kTextBytes = 96;

/// nvmlProcessInfo_t of the _v3 query.
struct ProcessInfo {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};
struct ViolationTime {
  unsigned long long reference_us, violation_ns;
};

}  // namespace

/// The functions, null where this library lacks one.
struct NvmlDevice::Library {
  void* handle = nullptr;
  Device device = nullptr;
  bool started = false;

  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*by_bus)(const char*, Device*) = nullptr;
  int (*by_index)(unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*clock)(Device, int, unsigned*) = nullptr;
  int (*temperature)(Device, int, unsigned*) = nullptr;
  int (*power)(Device, unsigned*) = nullptr;
  int (*reasons)(Device, unsigned long long*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;
  int (*violation)(Device, int, ViolationTime*) = nullptr;
  int (*processes)(Device, unsigned*, ProcessInfo*) = nullptr;

  ~Library() {
    if (started && shutdown != nullptr) {
      (void)shutdown();
    }
    if (handle != nullptr) {
      dlclose(handle);
    }
  }

  template <typename Function>
  void find(Function& function, const char* symbol, const char* older = nullptr) {
    void* found = dlsym(handle, symbol);
    if (found == nullptr && older != nullptr) {
      found = dlsym(handle, older);
    }
    function = reinterpret_cast<Function>(found);
  }

  void find_all() {
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(error_string, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(by_bus, "nvmlDeviceGetHandleByPciBusId_v2");
    find(by_index, "nvmlDeviceGetHandleByIndex_v2");
    find(name, "nvmlDeviceGetName");
    find(clock, "nvmlDeviceGetClockInfo");
    find(temperature, "nvmlDeviceGetTemperature");
    find(power, "nvmlDeviceGetPowerUsage");
    find(reasons, "nvmlDeviceGetCurrentClocksEventReasons",
         "nvmlDeviceGetCurrentClocksThrottleReasons");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(violation, "nvmlDeviceGetViolationStatus");
    find(processes, "nvmlDeviceGetComputeRunningProcesses_v3",
         "nvmlDeviceGetComputeRunningProcesses_v2");
  }

  std::string text_of(int code) const {
    const char* text = error_string != nullptr ? error_string(code) : nullptr;
    return fmt::format("{} (code {})", text != nullptr ? text : "unknown", code);
  }

  /// One number, where there is the function and it succeeds.
  template <typename Number, typename Function, typename... Arguments>
  std::optional<Number> ask(Function function, Arguments... arguments) const {
    Number value{};
    if (function == nullptr || function(device, arguments..., &value) != kSuccess) {
      return std::nullopt;
    }
    return value;
  }

  std::optional<int> others() const {
    std::array<ProcessInfo, 128> found{};
    auto count = static_cast<unsigned>(found.size());
    if (processes == nullptr) {
      return std::nullopt;
    }
    const int code = processes(device, &count, found.data());
    if (code == kInsufficientSize) {
      return static_cast<int>(count);
    }
    if (code != kSuccess || count > found.size()) {
      return std::nullopt;
    }
    const auto ours = static_cast<unsigned>(getpid());
    int others = 0;
    for (unsigned i = 0; i < count; ++i) {
      others += found[i].pid != ours ? 1 : 0;
    }
    return others;
  }
};

std::string clock_reasons_text(std::uint64_t reasons) {
  constexpr std::array<std::pair<std::uint64_t, const char*>, 9> kNames{
      {{kClockIdle, "idle"},
       {kClockApplicationSetting, "application clocks"},
       {kClockPowerCap, "power cap"},
       {kClockHardwareSlowdown, "hardware slowdown"},
       {kClockSyncBoost, "sync boost"},
       {kClockSoftwareThermal, "software thermal slowdown"},
       {kClockHardwareThermal, "hardware thermal slowdown"},
       {kClockPowerBrake, "power brake"},
       {kClockDisplaySetting, "display clocks"}}};
  std::vector<std::string> found;
  for (const auto& [bit, name] : kNames) {
    if ((reasons & bit) != 0) {
      found.emplace_back(name);
      reasons &= ~bit;
    }
  }
  if (reasons != 0) {
    found.push_back(fmt::format("unknown 0x{:x}", reasons));
  }
  return found.empty() ? "none" : fmt::format("{}", fmt::join(found, ", "));
}

NvmlDevice::NvmlDevice(const std::string& bus, const std::string& library)
    : library_(std::make_unique<Library>()) {
  open(bus, library);
}

NvmlDevice::~NvmlDevice() = default;

void NvmlDevice::open(const std::string& bus, const std::string& library) {
  Library& nvml = *library_;
  nvml.handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (nvml.handle == nullptr) {
    const char* said = dlerror();
    missing_ = fmt::format("NVML (it comes with the driver): {}",
                           said != nullptr ? said : "can't be loaded");
    return;
  }
  nvml.find_all();
  if (nvml.init == nullptr || nvml.by_index == nullptr || nvml.by_bus == nullptr) {
    missing_ = fmt::format("NVML: {} lacks functions that every version has", library);
    return;
  }
  if (const int code = nvml.init(); code != kSuccess) {
    missing_ = "NVML does not start: " + nvml.text_of(code);
    return;
  }
  nvml.started = true;
  const int code =
      bus.empty() ? nvml.by_index(0, &nvml.device) : nvml.by_bus(bus.c_str(), &nvml.device);
  if (code != kSuccess) {
    missing_ = fmt::format("NVML knows no device {}: {}", bus.empty() ? "at all" : bus,
                           nvml.text_of(code));
    return;
  }
  std::array<char, kTextBytes> text{};
  if (nvml.name != nullptr && nvml.name(nvml.device, text.data(), kTextBytes - 1) == kSuccess) {
    name_ = text.data();
  }
  text = {};
  if (nvml.driver_version != nullptr &&
      nvml.driver_version(text.data(), kTextBytes - 1) == kSuccess) {
    driver_ = text.data();
  }
}

DeviceReading NvmlDevice::read() const {
  DeviceReading reading;
  if (!missing_.empty()) {
    return reading;
  }
  const Library& nvml = *library_;
  const auto whole = [](const std::optional<unsigned>& value) {
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  };
  reading.sm_clock_mhz = whole(nvml.ask<unsigned>(nvml.clock, kClockSm));
  reading.memory_clock_mhz = whole(nvml.ask<unsigned>(nvml.clock, kClockMemory));
  reading.temperature_c = whole(nvml.ask<unsigned>(nvml.temperature, kTemperatureGpu));
  if (const auto milliwatt = nvml.ask<unsigned>(nvml.power)) {
    reading.power_w = static_cast<double>(*milliwatt) * 1e-3;
  }
  if (const auto reasons = nvml.ask<unsigned long long>(nvml.reasons)) {
    reading.clock_reasons = *reasons;
  }
  if (const auto millijoule = nvml.ask<unsigned long long>(nvml.energy)) {
    reading.energy_j = static_cast<double>(*millijoule) * 1e-3;
  }
  if (const auto violation = nvml.ask<ViolationTime>(nvml.violation, kPolicyThermal)) {
    reading.thermal_slowed_ns = static_cast<std::int64_t>(violation->violation_ns);
  }
  reading.other_processes = nvml.others();
  return reading;
}

}  // namespace deformer
