#pragma once
/// Scales of e4m3 operands, chosen from the weights alone: no calibration, and nothing overflows.
///
/// e4m3 has values up to 448 and 3 bits of mantissa down to 2^-6, 15 binades at equal relative
/// precision, so a scale decides only whether something is too large. What a LayerNorm leaves is
/// bounded by its parameters (a normalised row of d has length sqrt(d)), what a product makes of it
/// by Cauchy and Schwarz: |row . (w x + b) + c| <= |row * w| sqrt(d) + |row . b + c|. A context is
/// an average of values and a GELU never exceeds its argument, so these bounds hold for them too.
/// They lie 20 to 50 times above typical values, which costs 5 of the 15 binades. The device's
/// values exceed a bound only by the rounding of e4m3 weights; conversions saturate.

#include <cstdint>
#include <span>

namespace deformer::cuda {

inline constexpr float kLargestE4m3 = 448.0F;

/// What stored values are multiplied by to come back, so that `bound` is the largest e4m3; 1 for a
/// bound of 0.
float scale_for(double bound);

double largest(std::span<const float> values);

/// What rows that enter a product can be: a LayerNorm's results, or (norm empty) any rows of at
/// most `row_length` whose values are at most `largest`.
struct RowBound {
  std::span<const float> norm_weight;
  std::span<const float> norm_bias;
  double row_length = 0;
  double largest = 0;

  /// Largest value of a row.
  double value() const;
  /// Largest value of rows times weight [out, d] plus bias [out], over all outputs.
  double product(std::span<const float> weight, std::span<const float> bias) const;
};

}  // namespace deformer::cuda
