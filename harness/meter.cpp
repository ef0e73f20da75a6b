#include "harness/meter.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/interrupt.hpp"
#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

/// Enough for clocks, caches and branch predictors: with three cold forwards the estimate came out
/// up to 25 % too long and samples of bert-tiny too short.
constexpr int kFewestWarmUps = 3;
constexpr int kMostWarmUps = 1000;
constexpr std::int64_t kWarmUpNs = 30'000'000;
/// A margin over the millisecond that a sample must last.
constexpr double kPlannedSampleNs = 1.25 * Meter::kShortestSampleNs;
/// Probe rates remembered; `disturbed` looks at the latest 64.
constexpr std::size_t kMostBursts = 128;
/// After this many attempts for every round wanted, the machine is disturbed for good and rounds
/// are kept as they are: the record then shows both counts.
constexpr std::int64_t kMostAttemptsPerRound = 4;

/// The interval that decides: of the ratio, or of the times where there is no ratio.
std::span<const double> deciding_samples(const Runner& runner) {
  return runner.ratios.empty() ? std::span<const double>(runner.samples_ns)
                               : std::span<const double>(runner.ratios);
}

double relative_half_width(const Runner& runner) {
  const std::span<const double> samples = deciding_samples(runner);
  const std::optional<Interval> interval = median_interval(samples);
  const std::optional<double> centre = median(samples);
  if (!interval || !centre || *centre <= 0) {
    return std::numeric_limits<double>::infinity();
  }
  return std::max(interval->high - *centre, *centre - interval->low) / *centre;
}

std::optional<std::size_t> find_full(const std::vector<Runner>& runners) {
  const auto full = std::ranges::find_if(runners, &Runner::is_full);
  if (full == runners.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(full - runners.begin());
}

std::vector<std::size_t> all_but(std::size_t count, std::optional<std::size_t> left_out) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < count; ++i) {
    if (i != left_out) {
      indices.push_back(i);
    }
  }
  return indices;
}

}  // namespace

Meter::Meter(std::vector<Runner>& runners, InstanceTeam& team, const Probe& probe,
             const MeasureOptions& options)
    : runners_(runners),
      team_(team),
      probe_(probe),
      options_(options),
      full_(find_full(runners)),
      variants_(all_but(runners.size(), full_)),
      order_(variants_.size(), options.seed),
      ordered_(variants_.size()),
      durations_ns_(variants_.size()),
      steps_(2 * variants_.size() + 1),
      step_ns_(steps_.size()),
      burst_of_instance_(static_cast<std::size_t>(team.instances())) {
  for (const Runner& runner : runners_) {
    phase_sum_ns_.emplace_back(runner.plan.phases.size());
    hidden_sum_ns_.emplace_back(runner.plan.phases.size());
    range_sums_.push_back(runner.range_sums);
  }
  started_ns_ = now_ns();
}

void Meter::warm_up() {
  for (Runner& runner : runners_) {
    const std::int64_t begin_ns = now_ns();
    double fastest_ns = std::numeric_limits<double>::infinity();
    for (int i = 0; !interrupted() && (i < kFewestWarmUps || now_ns() - begin_ns < kWarmUpNs) &&
                    i < kMostWarmUps;
         ++i) {
      const std::int64_t forward_ns = team_.run(
          [&](int instance) { runner.instances[static_cast<std::size_t>(instance)].forward(); });
      fastest_ns = std::min(fastest_ns, static_cast<double>(forward_ns));
    }
    if (!runner.session().hidden_ns().empty()) {
      runner.hidden_ns.resize(runner.plan.phases.size());
    }
    runner.device_clock = runner.instances.size() == 1 && runner.session().device_ns().has_value();
    runner.forward_ns = fastest_ns;
    runner.forwards = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil(kPlannedSampleNs / std::max(fastest_ns, 1.0))));
  }
  probing_ = !std::ranges::all_of(runners_, &Runner::device_clock);
  for (std::size_t i = 0; i < variants_.size(); ++i) {
    const Runner& runner = runners_[variants_[i]];
    durations_ns_[i] = runner.forward_ns * static_cast<double>(runner.forwards);
  }
  started_ns_ = now_ns();
}

double Meter::seconds_left() const {
  const double limit_s = options_.max_time_s * static_cast<double>(runners_.size());
  return limit_s - static_cast<double>(now_ns() - started_ns_) * 1e-9;
}

bool Meter::precise() const {
  return std::ranges::all_of(runners_, [this](const Runner& runner) {
    const bool judged = !runner.is_full() || runners_.size() == 1;
    return !judged || relative_half_width(runner) <= kPrecision;
  });
}

/// Room for the samples of the rounds to come, so that none of them allocates.
void Meter::reserve(std::int64_t rounds) {
  const auto size = static_cast<std::size_t>(kept_ + rounds);
  for (Runner& runner : runners_) {
    runner.samples_ns.reserve(size);
    runner.ratios.reserve(full_ && !runner.is_full() ? size : 0);
    for (std::vector<double>& phase : runner.phase_ns) {
      phase.reserve(size);
    }
    for (std::vector<double>& hidden : runner.hidden_ns) {
      hidden.reserve(size);
    }
    for (std::vector<double>& range : runner.range_ns) {
      range.reserve(size);
    }
  }
  bursts_.reserve(kMostBursts + 2);
}

std::int64_t Meter::rounds_to_next_look() {
  const std::int64_t rounds = plan_next_look();
  reserve(rounds);
  return rounds;
}

std::int64_t Meter::plan_next_look() {
  const auto stop = [this](const char* why) {
    stopped_ = why;
    return std::int64_t{0};
  };
  if (options_.rounds > 0) {
    return kept_ >= options_.rounds ? stop("rounds")
                                    : std::min(options_.rounds, next_look(kept_)) - kept_;
  }
  const bool at_a_look = kept_ >= kFewestRounds && next_look(kept_ - 1) == kept_;
  if (at_a_look && precise()) {
    return stop("precision");
  }
  const std::int64_t wanted = next_look(kept_) - kept_;
  const double left_s = seconds_left();
  if (left_s <= 0 && kept_ >= kFewestRounds) {
    return stop(kept_ == kFewestRounds && attempts_ > 0 ? "min_rounds" : "time");
  }
  if (kept_ < kFewestRounds) {
    return kFewestRounds - kept_;
  }
  // Never start more rounds than the time allows; one at least, as time is left.
  const double fit = round_ns_ > 0 ? left_s * 1e9 / round_ns_ : 1;
  return std::clamp(static_cast<std::int64_t>(fit), std::int64_t{1}, wanted);
}

double Meter::sample(Runner& runner, std::size_t slot) {
  std::vector<double>& phases = phase_sum_ns_[slot];
  std::int64_t device_ns = 0;
  const std::int64_t elapsed_ns = team_.run([&](int index) {
    Instance& instance = runner.instances[static_cast<std::size_t>(index)];
    for (std::int64_t i = 0; i < runner.forwards; ++i) {
      instance.forward();
      if (index > 0) {
        continue;
      }
      if (runner.device_clock) {
        device_ns += instance.session->device_ns().value_or(0);
      }
      const std::span<const std::int64_t> phase_ns = instance.session->phase_ns();
      for (std::size_t p = 0; p < phases.size(); ++p) {
        phases[p] += static_cast<double>(phase_ns[p]);
      }
      const std::span<const std::int64_t> hidden_ns = instance.session->hidden_ns();
      for (std::size_t p = 0; p < hidden_ns.size(); ++p) {
        hidden_sum_ns_[slot][p] += static_cast<double>(hidden_ns[p]);
      }
      if (!runner.ranges.empty()) {
        range_sums_[slot].add(*instance.session->ranges());
      }
    }
  });
  return static_cast<double>(runner.device_clock ? device_ns : elapsed_ns) /
         static_cast<double>(runner.forwards);
}

/// Each instance on its own thread, hence on the very OpenMP team that is measured: another team
/// would be idle during the samples, and an idle team of libgomp spins for milliseconds before it
/// sleeps, on processors that are being measured. The instance that is held up most counts.
double Meter::burst() {
  if (!probing_) {
    return 0;
  }
  (void)team_.run([this](int instance) {
    burst_of_instance_[static_cast<std::size_t>(instance)] = probe_.burst();
  });
  return std::ranges::min(burst_of_instance_) * static_cast<double>(burst_of_instance_.size());
}

void Meter::round() {
  const std::int64_t start_ns = now_ns();
  order_.order(kept_, ordered_);  // a discarded round is repeated, so the order stays balanced
  ++attempts_;
  if (full_) {
    steps_used_ = place_anchors(ordered_, durations_ns_, steps_);
  } else {
    steps_used_ = ordered_.size();
    for (std::size_t i = 0; i < steps_used_; ++i) {
      steps_[i] = {ordered_[i], false};
    }
  }
  for (auto* sums : {&phase_sum_ns_, &hidden_sum_ns_}) {
    for (std::vector<double>& phases : *sums) {
      std::ranges::fill(phases, 0.0);
    }
  }
  for (RangeSums& sums : range_sums_) {
    sums.clear();
  }
  const double before = burst();
  if (options_.device != nullptr) {
    options_.device->before_round();
  }
  for (std::size_t i = 0; i < steps_used_; ++i) {
    const std::size_t slot = steps_[i].anchor ? *full_ : variants_[steps_[i].variant];
    step_ns_[i] = sample(runners_[slot], slot);
  }
  const bool throttled = options_.device != nullptr && options_.device->after_round();
  const double after = burst();
  const bool hopeless = attempts_ > kMostAttemptsPerRound * (kept_ + kFewestRounds);
  last_disturbed_ =
      throttled || (probing_ && (disturbed(before, bursts_) || disturbed(after, bursts_)));
  const bool bad = options_.discard && !hopeless && last_disturbed_;
  round_ns_ = static_cast<double>(now_ns() - start_ns);
  if (probing_) {
    remember(before, after);
  }
  if (bad) {
    ++discarded_;
    return;
  }
  keep();
}

void Meter::remember(double before, double after) {
  if (bursts_.size() >= kMostBursts) {
    bursts_.erase(bursts_.begin(), bursts_.begin() + static_cast<std::ptrdiff_t>(kMostBursts / 2));
  }
  fastest_burst_ = std::max({fastest_burst_, before, after});
  bursts_.push_back(before);
  bursts_.push_back(after);
}

void Meter::keep() {
  double anchors_ns = 0;
  std::int64_t anchors = 0;
  double before_ns = 0;
  for (std::size_t i = 0; i < steps_used_; ++i) {
    if (steps_[i].anchor) {
      anchors_ns += step_ns_[i];
      ++anchors;
      before_ns = step_ns_[i];
      continue;
    }
    Runner& runner = runners_[variants_[steps_[i].variant]];
    runner.samples_ns.push_back(step_ns_[i]);
    if (full_) {
      const auto next = std::find_if(steps_.begin() + static_cast<std::ptrdiff_t>(i), steps_.end(),
                                     [](const Step& step) { return step.anchor; });
      const double after_ns = step_ns_[static_cast<std::size_t>(next - steps_.begin())];
      runner.ratios.push_back((before_ns + after_ns) / 2 / step_ns_[i]);
    }
  }
  if (full_) {
    runners_[*full_].samples_ns.push_back(anchors_ns / static_cast<double>(anchors));
  }
  for (std::size_t slot = 0; slot < runners_.size(); ++slot) {
    Runner& runner = runners_[slot];
    const bool is_anchor = full_ && slot == *full_;
    const auto forwards = static_cast<double>(runner.forwards * (is_anchor ? anchors : 1));
    for (std::size_t p = 0; p < runner.phase_ns.size(); ++p) {
      runner.phase_ns[p].push_back(phase_sum_ns_[slot][p] / forwards);
    }
    for (std::size_t p = 0; p < runner.hidden_ns.size(); ++p) {
      runner.hidden_ns[p].push_back(hidden_sum_ns_[slot][p] / forwards);
    }
    for (std::size_t range = 0; range < runner.range_ns.size(); ++range) {
      runner.range_ns[range].push_back(range_sums_[slot].elapsed_ns(static_cast<int>(range)) /
                                       forwards);
    }
    runner.range_sums.add(range_sums_[slot]);
  }
  ++kept_;
}

void Meter::prime_probe() {
  constexpr int kBursts = 16;
  for (int i = 0; probing_ && i < kBursts; ++i) {
    bursts_.push_back(burst());
  }
}

void Meter::wake() {
  constexpr std::int64_t kWakingNs = 1'000'000;
  const std::int64_t begin_ns = now_ns();
  while (probing_ && now_ns() - begin_ns < kWakingNs) {
    (void)burst();
  }
}

void Meter::drop(std::span<const std::int64_t> rounds) {
  const auto drop_from = [&](std::vector<double>& values) {
    std::size_t kept = 0;
    auto next = rounds.begin();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (next != rounds.end() && static_cast<std::size_t>(*next) == i) {
        ++next;
      } else {
        values[kept++] = values[i];
      }
    }
    values.resize(kept);
  };
  for (Runner& runner : runners_) {
    drop_from(runner.samples_ns);
    drop_from(runner.ratios);
    std::ranges::for_each(runner.phase_ns, drop_from);
    std::ranges::for_each(runner.range_ns, drop_from);
    std::ranges::for_each(runner.hidden_ns, drop_from);
  }
  kept_ -= static_cast<std::int64_t>(rounds.size());
  discarded_ += static_cast<std::int64_t>(rounds.size());
}

MeterView Meter::view() const {
  MeterView view;
  view.rounds = kept_;
  view.discarded = discarded_;
  view.limit_s = options_.max_time_s * static_cast<double>(runners_.size());
  view.elapsed_s = view.limit_s - seconds_left();
  double widest = -1;
  for (const Runner& runner : runners_) {
    const double width = runner.ratios.empty() ? -1 : relative_half_width(runner);
    if (width > widest) {
      widest = width;
      const std::optional<Interval> interval = median_interval(runner.ratios);
      view.variant = runner.planned->name;
      view.ratio = median(runner.ratios);
      if (interval) {
        view.ratio_low = interval->low;
        view.ratio_high = interval->high;
      }
    }
  }
  return view;
}

}  // namespace deformer
