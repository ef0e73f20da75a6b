#pragma once
/// Energy of the processor packages (RAPL): by the kernel's powercap interface, or where it is
/// missing or closed by PAPI's rapl component.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "profilers/papi_energy.hpp"

namespace deformer {

class EnergyMeter {
 public:
  /// `root` is /sys/class/powercap, or a test's own. A package that is offered twice (by MSR and by
  /// MMIO, as on some laptops) is counted once.
  explicit EnergyMeter(const std::string& root = "/sys/class/powercap");
  /// Why there is none to be had, or empty.
  const std::string& missing() const { return missing_; }
  /// Since some point in the past, all packages together, wraps mended; nullopt without.
  std::optional<double> joules();
  /// What is read, for people; empty when nothing is.
  std::string source() const;

 private:
  void find_packages(const std::string& root);
  struct Package {
    std::string name, path;
    double range_uj = 0;  ///< where the counter starts again
    double last_uj = 0;
    double wrapped_uj = 0;
  };
  std::vector<Package> packages_;
  std::unique_ptr<PapiEnergy> papi_;  ///< only without packages
  std::string missing_;
};

}  // namespace deformer
