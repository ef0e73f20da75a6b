#include "profilers/energy.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace deformer {
namespace {

std::optional<double> number_in(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

}  // namespace

EnergyMeter::EnergyMeter(const std::string& root) {
  find_packages(root);
  if (!packages_.empty()) {
    return;
  }
  papi_ = std::make_unique<PapiEnergy>();
  if (papi_->missing().empty()) {
    missing_.clear();
  } else {
    missing_ += "; " + papi_->missing();
  }
}

std::string EnergyMeter::source() const {
  return !packages_.empty() ? "powercap" : missing_.empty() ? "PAPI's rapl component" : "";
}

void EnergyMeter::find_packages(const std::string& root) {
  std::error_code error;
  if (!std::filesystem::is_directory(root, error)) {
    missing_ = root + ": this kernel or (virtual) machine offers no energy counters";
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    std::ifstream file(entry.path() / "name");
    std::string name;
    // "package-0"; its parts (core, dram) are counted in it or stand beside it.
    if (!(file >> name) || !name.starts_with("package") ||
        std::ranges::find(packages_, name, &Package::name) != packages_.end()) {
      continue;
    }
    const std::string path = entry.path() / "energy_uj";
    const auto now = number_in(path);
    if (!now) {
      missing_ = path + ": can't be read (the kernel lets only root read it)";
      continue;
    }
    packages_.push_back(
        {name, path, number_in(entry.path() / "max_energy_range_uj").value_or(0), *now, 0});
  }
  if (!packages_.empty()) {
    missing_.clear();
  } else if (missing_.empty()) {
    missing_ = root + ": no processor package among its zones";
  }
}

std::optional<double> EnergyMeter::joules() {
  double sum_uj = 0;
  for (Package& package : packages_) {
    const auto now = number_in(package.path);
    if (!now) {
      return std::nullopt;
    }
    if (*now < package.last_uj) {
      package.wrapped_uj += package.range_uj;
    }
    package.last_uj = *now;
    sum_uj += *now + package.wrapped_uj;
  }
  return packages_.empty() ? papi_->joules() : std::optional(sum_uj * 1e-6);
}

}  // namespace deformer
