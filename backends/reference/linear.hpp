#pragma once
/// The dense products of the reference: row-major float64 through BLAS. Sizes are checked against
/// BLAS's 32-bit integers.

#include <cstdint>
#include <span>

namespace deformer::reference {

/// A row-major matrix that lies inside a larger one: element (i, j) is data[i * stride + j].
struct MatrixView {
  double* data;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t stride;
};
struct ConstMatrixView {
  const double* data;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t stride;
};

/// c = alpha * a b^T, with a [m, k], b [n, k], c [m, n].
void multiply_transposed(double alpha, ConstMatrixView a, ConstMatrixView b, MatrixView c);

/// c = a b, with a [m, k], b [k, n], c [m, n].
void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView c);

/// y = x W^T + bias for `rows` rows; W is [bias.size(), in], as checkpoints store it.
void dense(std::span<const double> x, std::int64_t rows, std::span<const double> weight,
           std::span<const double> bias, std::span<double> y);

}  // namespace deformer::reference
