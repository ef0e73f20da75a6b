#pragma once
/// Energy of the processor packages by PAPI's rapl component, where the kernel's powercap interface
/// is missing or closed: the component reads the processor's registers (MSR), for which it needs
/// rights of its own.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace deformer {

/// Whether an event of the component is a package's energy in nanojoules, as
/// "rapl:::PACKAGE_ENERGY:PACKAGE0" is. Not its raw count, nor the energy of its parts (cores,
/// memory, GPU) or of the platform.
bool is_package_energy(std::string_view event);

class PapiEnergy {
 public:
  PapiEnergy();
  ~PapiEnergy();
  PapiEnergy(const PapiEnergy&) = delete;
  PapiEnergy& operator=(const PapiEnergy&) = delete;

  /// Why there is none to be had, or empty.
  const std::string& missing() const { return missing_; }
  /// Since construction, all packages together; nullopt without.
  std::optional<double> joules();

 private:
  struct Events;
  std::string start();
  std::unique_ptr<Events> events_;
  std::string missing_;
};

}  // namespace deformer
