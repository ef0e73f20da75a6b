#pragma once
/// Which of a library's algorithms was the quickest for a product: measured once, remembered in the
/// machine's store under the bucket's name, for a device and a version of the library.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "profilers/machine_store.hpp"

namespace deformer::cuda {

/// An opaque description, as the library made it (cublasLtMatmulAlgo_t is 64 bytes).
struct Algorithm {
  std::array<std::byte, 64> bytes{};
  std::int64_t workspace_bytes = 0;
  double time_us = 0;  ///< when it was chosen

  bool operator==(const Algorithm&) const = default;
};

class AlgorithmMemory {
 public:
  /// `device` names the device and `library` the library with its version: what was remembered for
  /// others is not given back. Null `store`: remembers for the life of this object.
  AlgorithmMemory(std::string device, std::string library, const MachineStore* store);

  std::optional<Algorithm> find(const std::string& bucket) const;
  void remember(const std::string& bucket, const Algorithm& algorithm);
  /// Writes what is new to the store. Losing it is no error.
  void save();

 private:
  void read(const nlohmann::ordered_json& value);
  nlohmann::ordered_json json() const;

  std::string device_;
  std::string library_;
  std::optional<MachineStore> store_;
  mutable std::mutex mutex_;
  std::map<std::string, Algorithm> known_;
  bool changed_ = false;
};

}  // namespace deformer::cuda
