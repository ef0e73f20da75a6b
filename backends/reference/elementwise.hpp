#pragma once
/// The element-wise formulas of the reference, in float64 and in the order they are published.

#include <span>

#include "model/types.hpp"

namespace deformer::reference {

/// GELU (Hendrycks and Gimpel, arXiv 1606.08415): x/2 (1 + erf(x/sqrt 2)), or its tanh form
/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
void apply_gelu(Activation activation, std::span<double> values);

/// Normalises one row in place, variance in a second pass: (x - mean) / sqrt(var + eps) * weight +
/// bias.
void layer_norm(std::span<double> row, std::span<const double> weight, std::span<const double> bias,
                double eps);

/// Softmax of one row in place, its largest value subtracted first.
void softmax(std::span<double> row);

}  // namespace deformer::reference
