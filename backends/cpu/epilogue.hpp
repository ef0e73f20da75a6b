#pragma once
/// The activation of a finished tile, if its product has one.

#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"

namespace deformer {

/// `rows` x `columns` floats, rows `stride` floats apart.
inline void activate(Epilogue epilogue, float* tile, std::int64_t rows, std::int64_t columns,
                     std::int64_t stride) {
  if (epilogue == Epilogue::bias_gelu_erf) {
    kernels::gelu_erf(tile, rows, columns, stride);
  } else if (epilogue == Epilogue::bias_gelu_tanh) {
    kernels::gelu_tanh(tile, rows, columns, stride);
  }
}

}  // namespace deformer
