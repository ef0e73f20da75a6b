#include "backends/reference/linear.hpp"

#include <cblas.h>

#include <limits>
#include <stdexcept>

namespace deformer::reference {
namespace {

blasint blas_int(std::int64_t value) {
  if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
    throw std::length_error("reference: a matrix dimension does not fit BLAS's integers");
  }
  return static_cast<blasint>(value);
}

void gemm(CBLAS_TRANSPOSE transpose_b, double alpha, ConstMatrixView a, ConstMatrixView b,
          MatrixView c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, transpose_b, blas_int(c.rows), blas_int(c.columns),
              blas_int(a.columns), alpha, a.data, blas_int(a.stride), b.data, blas_int(b.stride),
              0.0, c.data, blas_int(c.stride));
}

}  // namespace

void multiply_transposed(double alpha, ConstMatrixView a, ConstMatrixView b, MatrixView c) {
  gemm(CblasTrans, alpha, a, b, c);
}

void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView c) {
  gemm(CblasNoTrans, 1.0, a, b, c);
}

void dense(std::span<const double> x, std::int64_t rows, std::span<const double> weight,
           std::span<const double> bias, std::span<double> y) {
  const auto out = static_cast<std::int64_t>(bias.size());
  const std::int64_t in = static_cast<std::int64_t>(weight.size()) / out;
  multiply_transposed(1.0, {x.data(), rows, in, in}, {weight.data(), out, in, in},
                      {y.data(), rows, out, out});
  for (std::int64_t row = 0; row < rows; ++row) {
    double* values = y.data() + row * out;
    for (std::int64_t i = 0; i < out; ++i) {
      values[i] += bias[static_cast<std::size_t>(i)];
    }
  }
}

}  // namespace deformer::reference
