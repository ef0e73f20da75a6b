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
  /// together, slowest thread counts). Allocates nothing.
  double burst();
  /// The highest rate of all bursts so far: noise only lowers a rate, so this is the nearest to the
  /// machine's peak. 0 before the first.
  double best() const { return best_; }
  int threads() const { return threads_; }

 private:
  int threads_;
  const ArithmeticLoop& loop_;
  std::int64_t iterations_;  ///< calibrated at construction
  double best_ = 0;
};

/// Whether a burst of `rate` counts as disturbed given earlier bursts: below 90 % of their median
/// (needs 8 earlier ones; false before). The measurement behind 90 % stands in probe.cpp.
bool disturbed(double rate, std::span<const double> earlier);

}  // namespace deformer
