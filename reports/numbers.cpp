#include "reports/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <span>
#include <string_view>

namespace deformer {
namespace {

struct Unit {
  double size;
  std::string_view name;
};

constexpr std::array<Unit, 4> kTimes = {{{1, " ns"}, {1e3, " us"}, {1e6, " ms"}, {1e9, " s"}}};
constexpr std::array<Unit, 5> kBytes = {
    {{1, " B"}, {1e3, " kB"}, {1e6, " MB"}, {1e9, " GB"}, {1e12, " TB"}}};
constexpr std::array<Unit, 6> kFlops = {{{1, " FLOP"},
                                         {1e3, " kFLOP"},
                                         {1e6, " MFLOP"},
                                         {1e9, " GFLOP"},
                                         {1e12, " TFLOP"},
                                         {1e15, " PFLOP"}}};

/// Three significant digits; all digits of a whole number up to a million; an exponent beyond.
std::string significant(double value) {
  if (value == 0) return "0";
  const std::string rounded = fmt::format("{:.2e}", value);
  const int exponent = std::atoi(rounded.c_str() + rounded.find('e') + 1);
  if (exponent >= 6 || exponent < -4) return rounded;
  return fmt::format("{:.{}f}", value, std::max(0, 2 - exponent));
}

/// The largest unit that leaves at least 1 once rounded: 999.6 us is "1.00 ms".
const Unit& unit_for(double value, std::span<const Unit> units) {
  const double rounded = std::abs(std::strtod(fmt::format("{:.2e}", value).c_str(), nullptr));
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (rounded >= unit.size) best = &unit;
  }
  return *best;
}

std::string with_unit(double value, std::span<const Unit> units) {
  if (!std::isfinite(value)) return "-";
  const Unit& unit = unit_for(value, units);
  return significant(value / unit.size).append(unit.name);
}

/// Counts below a thousand are whole: "512 B", "5 B".
std::string count_with_unit(double value, std::span<const Unit> units) {
  if (std::abs(value) < 1000 && value == std::floor(value)) {
    return fmt::format("{:.0f}{}", value, units.front().name);
  }
  return with_unit(value, units);
}

}  // namespace

std::string human_time(double ns) {
  return with_unit(ns, kTimes);
}
std::string human_bytes(double bytes) {
  return count_with_unit(bytes, kBytes);
}
std::string human_flops(double flops) {
  return count_with_unit(flops, kFlops);
}

std::string human_ratio(double ratio) {
  return std::isfinite(ratio) ? significant(ratio) + "x" : "-";
}

std::string human_percent(double fraction) {
  return std::isfinite(100 * fraction) ? significant(100 * fraction) + " %" : "-";
}

std::string human_rate(double rate) {
  return std::isfinite(rate) ? significant(rate) : "-";
}

std::string human_ratio_interval(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) return "-";
  return fmt::format("[{}, {}]", significant(low), significant(high));
}

std::string human_time_interval(double centre_ns, double low_ns, double high_ns) {
  if (!std::isfinite(centre_ns)) return "-";
  const double size = unit_for(centre_ns, kTimes).size;
  return human_ratio_interval(low_ns / size, high_ns / size);
}

std::string exact_number(double value) {
  return fmt::format("{}", value);
}

}  // namespace deformer
