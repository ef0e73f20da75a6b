#include "backends/cuda/device.hpp"

#include <cuda_runtime_api.h>

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "backends/cuda/status.hpp"

namespace deformer::cuda {
namespace {

constexpr int kOldest = 80;   ///< bf16 and TF32 on tensor cores
constexpr int kFp8From = 89;  ///< Ada and Hopper

std::int64_t attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "asking the device what it is");
  return value;
}

}  // namespace

Device current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking the device what it is");
  char bus[32] = {};
  check(cudaDeviceGetPCIBusId(bus, sizeof bus, device), "asking for the device's bus");
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the device's memory");
  Device found;
  found.name = properties.name;
  found.bus = bus;
  found.capability = properties.major * 10 + properties.minor;
  found.free_bytes = static_cast<std::int64_t>(free);
  found.cache_bytes = attribute(cudaDevAttrL2CacheSize, device);
  found.shared_bytes_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  found.launches_clusters = attribute(cudaDevAttrClusterLaunch, device) != 0;
  found.one_by_one = is_asked(kOneByOne);
  found.own_kernels = is_asked(kOwnKernels);
  check(cudaDriverGetVersion(&found.driver_version), "asking for the driver's version");
  check(cudaRuntimeGetVersion(&found.runtime_version), "asking for the runtime's version");
  return found;
}

bool is_asked(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string_view(value) != "" && std::string_view(value) != "0";
}

std::string asked_text(const Device& device) {
  std::string text;
  if (device.one_by_one) {
    text += fmt::format(", kernels one by one ({})", kOneByOne);
  }
  if (device.own_kernels) {
    text += fmt::format(", own kernels wherever they can, unmeasured ({})", kOwnKernels);
  }
  return text;
}

std::optional<std::string> dtype_why_not(DType dtype, int capability) {
  if (dtype == DType::int8) {
    return "dtype int8 is not supported by the cuda backend: its products would need scales of "
           "activations measured on data (use fp8, whose scales come from the weights alone)";
  }
  if (dtype == DType::bit1) {
    return "dtype bit1 exists for cached passages only";
  }
  if (dtype == DType::fp8 && capability < kFp8From) {
    return fmt::format("dtype fp8 needs a device of compute capability 8.9 or later, this is {}.{}",
                       capability / 10, capability % 10);
  }
  if (capability < kOldest) {
    return fmt::format(
        "the cuda backend needs a device of compute capability 8.0 or later, this "
        "is {}.{}",
        capability / 10, capability % 10);
  }
  return std::nullopt;
}

}  // namespace deformer::cuda
