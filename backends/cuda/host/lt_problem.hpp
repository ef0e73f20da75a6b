#pragma once
/// A product as cuBLASLt is asked for it. The library thinks in columns: D = A' B + beta C with
/// column-major matrices. Our rows are packed one after the other, so a row-major [rows, width]
/// matrix is a column-major [width, rows] one without a number being moved, and
///
///   Y [rows, out] = X [rows, in] W [out, in]^T
///   D = Y^T [out, rows],  A = W^T [in, out] transposed,  B = X^T [in, rows]
///
/// with leading dimensions in, in and out. The bias runs down the columns of D, which are our rows.

#include <cstdint>
#include <string>

#include "backends/cuda/host/element.hpp"

namespace deformer::cuda {

/// What is done to a product before it is stored. erf GELU is none of cuBLASLt's: its GELU_BIAS is
/// the tanh form.
enum class Finish : std::uint8_t { none, bias, bias_gelu_tanh, bias_gelu_erf };
std::string_view to_string(Finish finish);

struct MatrixLayout {
  Element element;
  std::int64_t rows;  ///< of the column-major matrix as it is stored
  std::int64_t columns;
  std::int64_t leading;

  std::int64_t bytes() const { return leading * columns * bytes_of(element); }
};

struct LtProblem {
  MatrixLayout a, b, c, d;  ///< a is used transposed, b as it is
  Finish finish = Finish::none;
  float beta = 0.0F;  ///< 1: onto what D holds, which is C
  bool tf32 = false;
  bool scaled = false;  ///< a and b are e4m3 with one scale each

  std::int64_t out() const { return d.rows; }
  std::int64_t in() const { return a.rows; }
  std::int64_t rows() const { return d.columns; }
};

/// rows x in times (out x in)^T. With `residual`, onto what the result holds.
LtProblem lt_problem(const Numbers& numbers, std::int64_t rows, std::int64_t in, std::int64_t out,
                     Finish finish, bool residual);

/// Rows that share an algorithm: up to 64 every number its own multiple of 16, then of 64, then of
/// an eighth of their power of two. Within a bucket the best algorithm hardly differs; the product
/// itself is always of the rows there are.
std::int64_t rows_bucket(std::int64_t rows);

/// "bf16 768x3072 bias_gelu_tanh rows 320": under which an algorithm is remembered, device apart.
std::string bucket_name(const LtProblem& problem);

/// A product: the problem, where its operands are, and (fp8) their scales.
struct ProductArgs {
  LtProblem problem;
  const void* weights;        ///< A
  const void* source;         ///< B
  void* result;               ///< D, and C
  const void* bias;           ///< `out` of the result's element; null with Finish::none
  const float* weight_scale;  ///< null unless scaled
  const float* source_scale;
};

}  // namespace deformer::cuda
