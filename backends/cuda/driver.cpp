#include "backends/cuda/driver.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <fmt/format.h>

namespace deformer::cuda {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string explain_no_device(bool driver_loaded, const std::string& load_error, int error,
                              int driver_version, int runtime_version, int devices) {
  if (!driver_loaded) {
    return fmt::format("no NVIDIA driver: {}; install one and see that nvidia-smi works",
                       load_error);
  }
  if (error == cudaSuccess) {
    return devices > 0 ? "" : "the driver knows no device (is CUDA_VISIBLE_DEVICES empty?)";
  }
  switch (error) {
    case cudaErrorInsufficientDriver:
      return fmt::format("the driver is too old: it serves CUDA {}, this module was built with {}",
                         driver_version > 0 ? version_text(driver_version) : "of no version",
                         version_text(runtime_version));
    case cudaErrorNoDevice:
      return "the driver finds no device (nvidia-smi lists them; CUDA_VISIBLE_DEVICES hides them)";
    case cudaErrorStubLibrary:
      return "libcuda.so.1 is the toolkit's stub, not a driver; take its folder out of "
             "LD_LIBRARY_PATH";
    default:
      return fmt::format("the driver refuses: {} ({}, code {})",
                         cudaGetErrorString(static_cast<cudaError_t>(error)),
                         cudaGetErrorName(static_cast<cudaError_t>(error)), error);
  }
}

std::string why_no_device() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) {
    const char* said = dlerror();
    return explain_no_device(false, said != nullptr ? said : "libcuda.so.1 can't be loaded", 0, 0,
                             0, 0);
  }
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  int driver_version = 0;
  (void)cudaDriverGetVersion(&driver_version);
  (void)cudaGetLastError();
  dlclose(driver);  // the runtime holds its own
  return explain_no_device(true, "", error, driver_version, CUDART_VERSION,
                           error == cudaSuccess ? devices : 0);
}

}  // namespace deformer::cuda
