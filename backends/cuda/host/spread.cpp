#include "backends/cuda/host/spread.hpp"

#include <algorithm>
#include <utility>

namespace deformer::cuda {
namespace {

/// Where the model's element `i` of a side lies.
std::int64_t place_of(const Side& side, std::int64_t i) {
  return i / side.real * side.stored + i % side.real;
}

}  // namespace

std::vector<float> spread(std::vector<float> matrix, const Side& out, const Side& in) {
  if (out.fits() && in.fits()) {
    return matrix;
  }
  std::vector<float> wide(static_cast<std::size_t>(out.size() * in.size()), 0.0F);
  auto from = matrix.begin();
  for (std::int64_t row = 0; row < out.parts * out.real; ++row) {
    const auto to = wide.begin() + place_of(out, row) * in.size();
    for (std::int64_t part = 0; part < in.parts; ++part, from += in.real) {
      std::copy_n(from, in.real, to + part * in.stored);
    }
  }
  return wide;
}

std::vector<float> spread_rows(std::vector<float> values, std::int64_t rows, const Side& side) {
  return spread(std::move(values), {1, rows, rows}, side);
}

}  // namespace deformer::cuda
