#include "reports/gate/distributions.hpp"

#include <cmath>

#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

namespace deformer {
namespace {

using boost::math::beta_distribution;
using boost::math::complement;
using boost::math::fisher_f;
using boost::math::students_t;

/// From here on Student's distribution is the normal one to seven digits.
constexpr double kManyDegrees = 1e8;

}  // namespace

double student_quantile(double p, double degrees_of_freedom) {
  if (degrees_of_freedom > kManyDegrees) {
    return quantile(boost::math::normal(), p);
  }
  return quantile(students_t(degrees_of_freedom), p);
}

double student_upper(double t, double degrees_of_freedom) {
  if (degrees_of_freedom > kManyDegrees) {
    return cdf(complement(boost::math::normal(), t));
  }
  return cdf(complement(students_t(degrees_of_freedom), t));
}

double fisher_upper(double f, double degrees_above, double degrees_below) {
  return cdf(complement(fisher_f(degrees_above, degrees_below), f));
}

Interval clopper_pearson(std::int64_t count, std::int64_t trials, double confidence) {
  const double tail = (1 - confidence) / 2;
  const auto seen = static_cast<double>(count);
  const auto unseen = static_cast<double>(trials - count);
  return {count == 0 ? 0 : quantile(beta_distribution<>(seen, unseen + 1), tail),
          count == trials ? 1 : quantile(complement(beta_distribution<>(seen + 1, unseen), tail))};
}

}  // namespace deformer
