#pragma once
/// The distributions that verdicts and rates rest on; computed by Boost.Math.

#include <cstdint>

#include "profilers/statistics.hpp"

namespace deformer {

/// t with P(T <= t) = p, of Student's distribution; degrees of freedom need not be whole, and
/// infinity gives the normal one. @pre 0 < p < 1, degrees_of_freedom > 0.
double student_quantile(double p, double degrees_of_freedom);

/// P(T > t).
double student_upper(double t, double degrees_of_freedom);

/// P(F > f), of Fisher's distribution.
double fisher_upper(double f, double degrees_above, double degrees_below);

/// Exact interval of a share of which `count` of `trials` were seen (Clopper and Pearson 1934):
/// from 0 when none was seen, to 1 when all were. @pre 0 <= count <= trials, trials > 0.
Interval clopper_pearson(std::int64_t count, std::int64_t trials, double confidence);

}  // namespace deformer
