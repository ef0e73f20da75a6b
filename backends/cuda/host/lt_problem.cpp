#include "backends/cuda/host/lt_problem.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace deformer::cuda {
namespace {

std::string_view operands_name(const LtProblem& problem) {
  switch (problem.a.element) {
    case Element::f32:
      return problem.tf32 ? "tf32" : "f32";
    case Element::bf16:
      return "bf16";
    case Element::f16:
      return "f16";
    case Element::e4m3:
      return "e4m3";
  }
  return "?";
}

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

std::string_view to_string(Finish finish) {
  switch (finish) {
    case Finish::none:
      return "plain";
    case Finish::bias:
      return "bias";
    case Finish::bias_gelu_tanh:
      return "bias_gelu_tanh";
    case Finish::bias_gelu_erf:
      return "bias_gelu_erf";
  }
  return "?";
}

LtProblem lt_problem(const Numbers& numbers, std::int64_t rows, std::int64_t in, std::int64_t out,
                     Finish finish, bool residual) {
  LtProblem problem;
  problem.a = {numbers.operands, in, out, in};
  problem.b = {numbers.operands, in, rows, in};
  problem.c = {numbers.activations, out, rows, out};
  problem.d = problem.c;
  problem.finish = finish;
  problem.beta = residual ? 1.0F : 0.0F;
  problem.tf32 = numbers.tf32;
  problem.scaled = numbers.scaled();
  return problem;
}

std::int64_t rows_bucket(std::int64_t rows) {
  if (rows <= 64) {
    return round_up(rows, 16);
  }
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(rows)));
  return round_up(rows, std::max<std::int64_t>(64, power / 8));
}

std::string bucket_name(const LtProblem& problem) {
  return fmt::format("{} {}x{} {}{} rows {}", operands_name(problem), problem.in(), problem.out(),
                     to_string(problem.finish), problem.beta != 0.0F ? " residual" : "",
                     rows_bucket(problem.rows()));
}

}  // namespace deformer::cuda
