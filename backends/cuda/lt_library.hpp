#pragma once
/// cuBLASLt, opened when the first product is prepared: the module itself loads without it.

#include <cublasLt.h>

#include <string>
#include <string_view>

#include "backends/cuda/dynamic_library.hpp"

namespace deformer::cuda {

struct LtLibrary {
  /// The one of this process. @throws Unavailable when there is none, saying why.
  static const LtLibrary& get();
  /// "cuBLASLt 13.1.0", or why it can't be opened. Opens it.
  static std::string describe();

  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoCheck) algorithm_check = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulDescCreate) descriptor_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) descriptor_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) descriptor_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;

  /// @throws std::runtime_error: what was asked for, that success was expected, what was found.
  static void check(cublasStatus_t status, std::string_view what);

 private:
  explicit LtLibrary(const DynamicLibrary& library);
};

}  // namespace deformer::cuda
