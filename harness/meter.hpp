#pragma once
/// Rounds of one group: measures every variant once a round in a balanced order with `full`
/// repeated as anchor, forms the ratio of each round, and says when it is enough.
///
/// A sample: all instances start together, each runs the same number of forwards, and the time from
/// that start until the last of them ends, over the forwards of one, is the time of a forward.
/// With one instance that is the mean of consecutive forwards; with I it is the time in which the
/// machine completes I of them, so I x batch items in that time is the offline throughput.
///
/// What a device times by its own clock is judged by the device (profilers/device_watch.hpp): how
/// fast the host's processors are then says nothing of it, and nobody asks them.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/group.hpp"
#include "harness/round_order.hpp"
#include "profilers/device_watch.hpp"
#include "profilers/probe.hpp"

namespace deformer {

struct MeasureOptions {
  double max_time_s = 10;   ///< a point
  std::int64_t rounds = 0;  ///< fixed number of rounds; 0: until precise or out of time
  std::uint64_t seed = 1;   ///< of the order
  /// Discard rounds that the machine's own probe saw disturbed, or the device held down.
  bool discard = true;
  DeviceWatch* device = nullptr;  ///< of the device that computes; rounds it saw throttled go too
};

/// Where a measurement stands, for the progress line.
struct MeterView {
  std::int64_t rounds = 0;
  std::int64_t discarded = 0;
  double elapsed_s = 0;
  double limit_s = 0;
  std::string variant;  ///< the one with the widest interval
  std::optional<double> ratio;
  std::optional<double> ratio_low, ratio_high;
};

class Meter {
 public:
  static constexpr std::int64_t kFewestRounds = 10;
  static constexpr double kPrecision = 0.01;        ///< relative half-width asked for
  static constexpr double kShortestSampleNs = 1e6;  ///< a sample lasts at least 1 ms

  /// `team` has as many instances as each runner.
  Meter(std::vector<Runner>& runners, InstanceTeam& team, const Probe& probe,
        const MeasureOptions& options);

  /// Runs every variant a few times and sets how many forwards make a sample.
  void warm_up();

  /// How many rounds to run before looking again; 0 when it is enough. Respects the time that is
  /// left.
  std::int64_t rounds_to_next_look();

  /// One round. Nothing in it allocates. Its samples are kept unless the probe saw a disturbance.
  void round();

  /// For who counts rounds himself: room for so many more.
  void make_room(std::int64_t rounds) { reserve(rounds); }
  void stop(const std::string& why) { stopped_ = why; }
  /// Bursts enough for the probe to tell a disturbance from the first round on.
  void prime_probe();
  /// Bursts that tell nothing, for a millisecond: after a sleep they say more of the processor's
  /// clock than of a disturbance.
  void wake();
  /// Whether the probe saw a disturbance in the last round, kept or not.
  bool last_disturbed() const { return last_disturbed_; }
  /// Takes kept rounds out again, whole, for all variants, and counts them as discarded.
  /// `rounds`: indices of kept rounds, ascending, each once. What threads were busy with
  /// (range_sums) keeps them.
  void drop(std::span<const std::int64_t> rounds);

  /// Whether `full` is measured as anchor of others.
  bool has_variants() const { return !variants_.empty(); }
  std::int64_t rounds() const { return kept_; }
  std::int64_t discarded() const { return discarded_; }
  /// The highest rate of the machine's own probe, all instances together, FLOP/s: noise only lowers
  /// a rate, so this is the nearest to the peak. 0 before the first round, and where a device's
  /// clock is the one that counts.
  double fastest_burst() const { return fastest_burst_; }
  /// "precision", "time", "rounds", "min_rounds", or what stop() said.
  const std::string& stopped() const { return stopped_; }
  MeterView view() const;

 private:
  double sample(Runner& runner, std::size_t slot);
  double burst();
  void remember(double before, double after);
  void keep();
  std::int64_t plan_next_look();
  void reserve(std::int64_t rounds);
  bool precise() const;
  double seconds_left() const;

  std::vector<Runner>& runners_;
  InstanceTeam& team_;
  const Probe& probe_;
  MeasureOptions options_;
  std::optional<std::size_t> full_;    ///< index of the full runner
  std::vector<std::size_t> variants_;  ///< indices of the others
  RoundOrder order_;
  std::vector<std::size_t> ordered_;
  std::vector<double> durations_ns_;  ///< of one sample, by index into variants_
  std::vector<Step> steps_;
  std::vector<double> step_ns_;  ///< mean forward of each step of the current round
  std::vector<std::vector<double>> phase_sum_ns_;   ///< [runner][phase] over the current round
  std::vector<std::vector<double>> hidden_sum_ns_;  ///< the same of what was hidden
  std::vector<RangeSums> range_sums_;               ///< [runner] over the current round
  /// Whether the processors' own rate says anything of the samples: not of what devices time
  /// themselves. Until warm_up() knows, it does.
  bool probing_ = true;
  std::vector<double> bursts_;  ///< probe rates so far
  double fastest_burst_ = 0;
  std::vector<double> burst_of_instance_;
  std::size_t steps_used_ = 0;
  std::int64_t attempts_ = 0;
  std::int64_t kept_ = 0;
  std::int64_t discarded_ = 0;
  bool last_disturbed_ = false;
  std::int64_t started_ns_ = 0;
  double round_ns_ = 0;
  std::string stopped_;
};

}  // namespace deformer
