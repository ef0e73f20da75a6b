#pragma once
/// Numbers for people: 3 significant digits and a unit ("41.2 ms", "3.02x", "58.1 GFLOP", "88.4
/// MB"). NaN and infinity yield "-".

#include <string>

namespace deformer {

std::string human_time(double ns);
std::string human_bytes(double bytes);
std::string human_flops(double flops);
std::string human_ratio(double ratio);
std::string human_percent(double fraction);  ///< 0.936 -> "93.6 %"
std::string human_rate(double rate);         ///< 3 significant digits, no unit: "1.53e+06", "48.2"

/// Intervals without a unit: "[40.9, 41.6]". Times stand in the unit human_time picks for
/// `centre_ns`.
std::string human_time_interval(double centre_ns, double low_ns, double high_ns);
std::string human_ratio_interval(double low, double high);

/// The shortest decimal that reads back as the same number. @pre finite.
std::string exact_number(double value);

}  // namespace deformer
