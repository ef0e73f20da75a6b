#include "backends/cuda/status.hpp"

#include <fmt/format.h>

#include <string>

#include "model/error.hpp"

namespace deformer::cuda {
namespace {

bool is_fault(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) {
    return;
  }
  const std::string name = cudaGetErrorName(status);
  const std::string text = cudaGetErrorString(status);
  forget(cudaGetLastError());  // it is told once
  if (status == cudaErrorMemoryAllocation) {
    throw Unavailable(fmt::format(
        "cuda: {}: expected device memory, found none left ({}); use a smaller batch or shorter "
        "texts",
        what, text));
  }
  const std::string message =
      fmt::format("cuda: {}: expected success, found {} ({})", what, text, name);
  if (is_fault(status)) {
    throw DeviceFault(message);
  }
  throw std::runtime_error(message);
}

void throw_again(const DeviceFault& fault, std::string_view tried) {
  throw DeviceFault(fmt::format("{}; what was tried: {}", fault.what(), tried));
}

void throw_out_of_memory(std::string_view what, std::int64_t bytes) {
  std::size_t free = 0;
  std::size_t total = 0;
  forget(cudaGetLastError());
  const bool known = cudaMemGetInfo(&free, &total) == cudaSuccess;
  throw Unavailable(fmt::format(
      "cuda: {}: expected {} bytes of memory, found {} free of {} on the device; use a smaller "
      "batch, shorter texts or a smaller model",
      what, bytes, known ? std::to_string(free) : "an unknown number",
      known ? std::to_string(total) : "an unknown number"));
}

void throw_too_little_shared_memory(std::int64_t needed, std::int64_t found) {
  throw Unavailable(
      fmt::format("cuda: attention over heads this wide needs {} bytes of shared memory a block, "
                  "the device has "
                  "{}; use bf16 or f16",
                  needed, found));
}

}  // namespace deformer::cuda
