#pragma once
/// Energy of the processor packages, by the kernel's powercap interface (RAPL), where there is one.

#include <optional>
#include <string>
#include <vector>

namespace deformer {

class EnergyMeter {
 public:
  /// `root` is /sys/class/powercap, or a test's own.
  explicit EnergyMeter(const std::string& root = "/sys/class/powercap");
  /// Why there is none to be had, or empty.
  const std::string& missing() const { return missing_; }
  /// Since some point in the past, all packages together, wraps mended; nullopt without.
  std::optional<double> joules();

 private:
  struct Package {
    std::string path;
    double range_uj = 0;  ///< where the counter starts again
    double last_uj = 0;
    double wrapped_uj = 0;
  };
  std::vector<Package> packages_;
  std::string missing_;
};

}  // namespace deformer
