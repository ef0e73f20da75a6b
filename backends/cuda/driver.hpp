#pragma once
/// What stands between this process and a device.

#include <string>

namespace deformer::cuda {

/// Why there is no device to compute on, with what to do, or empty where there is one. Asks the
/// driver's library before the runtime, so that a machine without a driver costs a failed dlopen
/// and no more.
std::string why_no_device();

/// The same of what was found, for tests: whether libcuda.so.1 could be loaded (else `load_error`),
/// what cudaGetDeviceCount returned, the versions of driver and runtime (12040 is 12.4; 0 unknown).
std::string explain_no_device(bool driver_loaded, const std::string& load_error, int error,
                              int driver_version, int runtime_version, int devices);

/// "12.4" of 12040.
std::string version_text(int version);

}  // namespace deformer::cuda
