#include "backends/cuda/lt_library.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "model/error.hpp"

namespace deformer::cuda {
namespace {

const DynamicLibrary& library() {
  static const DynamicLibrary opened(
      {fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR), "libcublasLt.so"});
  return opened;
}

std::string_view status_name(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "not initialised: is there a device?";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "no memory left";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "invalid value";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "not on this device";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "execution failed";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "internal error";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "not supported";
    default:
      return "an error";
  }
}

}  // namespace

LtLibrary::LtLibrary(const DynamicLibrary& from) {
  if (!from.open()) {
    throw Unavailable(fmt::format(
        "cuda: expected cuBLASLt, found none ({}); install the CUDA toolkit's libraries or name "
        "their folder in LD_LIBRARY_PATH",
        from.error()));
  }
  from.bind(create, "cublasLtCreate");
  from.bind(destroy, "cublasLtDestroy");
  from.bind(version, "cublasLtGetVersion");
  from.bind(matmul, "cublasLtMatmul");
  from.bind(algorithm_check, "cublasLtMatmulAlgoCheck");
  from.bind(heuristic, "cublasLtMatmulAlgoGetHeuristic");
  from.bind(descriptor_create, "cublasLtMatmulDescCreate");
  from.bind(descriptor_destroy, "cublasLtMatmulDescDestroy");
  from.bind(descriptor_set, "cublasLtMatmulDescSetAttribute");
  from.bind(layout_create, "cublasLtMatrixLayoutCreate");
  from.bind(layout_destroy, "cublasLtMatrixLayoutDestroy");
  from.bind(preference_create, "cublasLtMatmulPreferenceCreate");
  from.bind(preference_destroy, "cublasLtMatmulPreferenceDestroy");
  from.bind(preference_set, "cublasLtMatmulPreferenceSetAttribute");
}

const LtLibrary& LtLibrary::get() {
  static const LtLibrary only(library());
  return only;
}

std::string LtLibrary::describe() {
  if (!library().open()) {
    return fmt::format("no cuBLASLt ({})", library().error());
  }
  const std::size_t version = get().version();
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

void LtLibrary::check(cublasStatus_t status, std::string_view what) {
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
    throw Unavailable(
        fmt::format("cuda: cuBLASLt, {}: expected an algorithm that runs here, found {} (code {}); "
                    "use another dtype",
                    what, status_name(status), static_cast<int>(status)));
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw std::runtime_error(fmt::format("cuda: cuBLASLt, {}: expected success, found {} (code {})",
                                         what, status_name(status), static_cast<int>(status)));
  }
}

}  // namespace deformer::cuda
