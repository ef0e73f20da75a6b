#include "harness/gate_clock.hpp"

#include <algorithm>
#include <cmath>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// Measuring of a pair lasts twice as long as starting it did, and at least this: longer gives
/// rounds that say little, as processes are the evidence; shorter gives little but starts.
constexpr double kShortestPairSeconds = 0.3;
constexpr std::int64_t kFewestRoundsOfPair = 4;
constexpr double kMeasuringShare = 2;  ///< of what starting takes
constexpr double kConfirmingShare = 0.5;

}  // namespace

GateClock::GateClock(double limit_s, std::int64_t fewest_pairs)
    : limit_s_(limit_s), fewest_pairs_(fewest_pairs) {}

void GateClock::first(const PairRun& run) {
  begin_ns_ = now_ns() - std::llround(run.measured_s * 1e9);
  round_s_ = run.measured_s / static_cast<double>(std::max<std::int64_t>(run.rounds, 1));
}

void GateClock::next(const PairRun& run) {
  setup_s_ = run.setup_s;
}

PairLength GateClock::length() const {
  const double fitting_s = limit_s_ / static_cast<double>(fewest_pairs_) - setup_s_;
  const double wanted_s = std::max(kShortestPairSeconds, kMeasuringShare * setup_s_);
  return {.seconds = std::max(0.0, std::min(wanted_s, fitting_s)),
          .fewest_rounds = kFewestRoundsOfPair};
}

double GateClock::left_s(bool confirming) const {
  const double limit_s = limit_s_ * (confirming ? 1 + kConfirmingShare : 1);
  return limit_s - static_cast<double>(now_ns() - begin_ns_) * 1e-9;
}

double GateClock::pair_s() const {
  return setup_s_ + std::max(length().seconds, static_cast<double>(kFewestRoundsOfPair) * round_s_);
}

bool GateClock::fits(bool confirming) const {
  return left_s(confirming) >= pair_s();
}

std::int64_t GateClock::fitting() const {
  const double pairs = left_s(false) / std::max(pair_s(), 1e-3);
  return static_cast<std::int64_t>(std::clamp(pairs, 0.0, 1e6));
}

}  // namespace deformer
