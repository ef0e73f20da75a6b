#pragma once
/// The machine's own probe: the rate of a fixed piece of register-only arithmetic (the widest f32
/// loop of profilers/arithmetic.hpp) on all measured threads, before and after each round. It
/// decides, without looking at the measurement itself, whether a round was disturbed by something
/// else on the machine.

#include <cstdint>
#include <span>
#include <vector>

#include "profilers/arithmetic.hpp"

namespace deformer {

class Probe {
 public:
  explicit Probe(int threads);
  /// One burst of about 50 us on all threads at once. Returns its rate in FLOP/s (all threads
  /// together, slowest thread counts). Allocates nothing. The threads are the OpenMP team of the
  /// caller; several callers may burst at once, each with its own.
  double burst() const;
  int threads() const { return threads_; }

 private:
  int threads_;
  const ArithmeticLoop& loop_;
  std::int64_t iterations_;  ///< calibrated at construction
};

/// Whether a burst of `rate` counts as disturbed given earlier bursts: below 90 % of their median
/// (needs 8 earlier ones; false before). The measurement behind 90 % stands in probe.cpp.
bool disturbed(double rate, std::span<const double> earlier);

}  // namespace deformer
