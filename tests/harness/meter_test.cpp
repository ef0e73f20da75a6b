#include "harness/meter.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// What ran, in order, and how long it took by its own clock.
struct Ran {
  const Session* session;
  double took_ns;
};

/// A session that takes a planned time by spinning; longer where the machine takes it off its core.
class SpinningSession : public Session {
 public:
  SpinningSession(std::int64_t duration_ns, std::size_t phases, std::vector<Ran>* log = nullptr)
      : log_(log),
        duration_ns_(duration_ns),
        phase_ns_(phases, duration_ns / static_cast<std::int64_t>(phases)) {}
  void run(const Inputs&) override {
    const std::int64_t start_ns = now_ns();
    std::int64_t end_ns = start_ns;
    while (end_ns < start_ns + duration_ns_) {
      end_ns = now_ns();
    }
    ++runs;
    if (log_ != nullptr) {
      log_->push_back({this, static_cast<double>(end_ns - start_ns)});
    }
  }
  std::span<const float> output() const override { return {}; }
  std::span<const float> head_output() const override { return {}; }
  std::span<const float> layer_output(Segment, std::int64_t) const override { return {}; }
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  SessionMemory memory() const override { return {}; }
  std::int64_t runs = 0;

 private:
  std::vector<Ran>* log_;
  std::int64_t duration_ns_;
  std::vector<std::int64_t> phase_ns_;
};

/// A device: its own clock tells a tenth of what the caller waits.
class DeviceSession final : public SpinningSession {
 public:
  using SpinningSession::SpinningSession;
  static constexpr std::int64_t kOwnNs = 200'000;
  std::optional<std::int64_t> device_ns() const override { return kOwnNs; }
  std::span<const std::int64_t> hidden_ns() const override { return hidden_ns_; }

 private:
  std::vector<std::int64_t> hidden_ns_ = std::vector<std::int64_t>(phase_ns().size(), 7'000);
};

class MeterTest : public ::testing::Test {
 protected:
  void add(Variant variant, std::int64_t split, std::int64_t duration_ns) {
    PlannedPoint planned;
    planned.point.variant = variant;
    planned.point.split = split;
    planned_.push_back(std::make_unique<PlannedPoint>(planned));
    Runner runner;
    runner.planned = planned_.back().get();
    runner.plan = make_plan(*builtin_model("bert-tiny"), variant, split, Order::question_first);
    runner.instances.emplace_back().session =
        std::make_unique<SpinningSession>(duration_ns, runner.plan.phases.size(), &log_);
    runner.phase_ns.resize(runner.plan.phases.size());
    runners_.push_back(std::move(runner));
  }

  std::vector<std::unique_ptr<PlannedPoint>> planned_;
  std::vector<Runner> runners_;
  std::vector<Ran> log_;
  InstanceTeam team_{1};
  Probe probe_{1};
};

/// Of each run of `variant` in the log: the mean of the `full` before and after it, over its own.
std::vector<double> ratios_by_log(const std::vector<Ran>& log, const Session* variant,
                                  const Session* full) {
  const auto is_full = [full](const Ran& ran) { return ran.session == full; };
  std::vector<double> ratios;
  for (auto ran = log.begin(); ran != log.end(); ++ran) {
    if (ran->session == variant) {
      const auto before = std::find_if(std::make_reverse_iterator(ran), log.rend(), is_full);
      const auto after = std::find_if(ran, log.end(), is_full);
      ratios.push_back((before->took_ns + after->took_ns) / 2 / ran->took_ns);
    }
  }
  return ratios;
}

void run_to_the_end(Meter& meter) {
  meter.warm_up();
  while (const std::int64_t rounds = meter.rounds_to_next_look()) {
    for (std::int64_t i = 0; i < rounds; ++i) {
      meter.round();
    }
  }
}

TEST_F(MeterTest, FixedRoundsAreKeptToTheNumber) {
  add(Variant::full, 0, 300'000);
  add(Variant::cached, 1, 100'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 60, .rounds = 12, .seed = 1, .discard = false});
  run_to_the_end(meter);
  EXPECT_EQ(meter.rounds(), 12);
  EXPECT_EQ(meter.stopped(), "rounds");
  EXPECT_EQ(runners_[0].samples_ns.size(), 12U);
  EXPECT_EQ(runners_[1].ratios.size(), 12U);
  EXPECT_TRUE(runners_[0].ratios.empty());
}

TEST_F(MeterTest, ASampleLastsAtLeastAMillisecond) {
  add(Variant::full, 0, 300'000);
  add(Variant::cached, 1, 2'000'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 60, .rounds = 10, .seed = 1, .discard = false});
  meter.warm_up();
  EXPECT_GE(runners_[0].forwards, 4);
  EXPECT_LE(runners_[0].forwards, 5);
  EXPECT_EQ(runners_[1].forwards, 1);
}

TEST_F(MeterTest, TheRatioIsFullOverTheVariant) {
  add(Variant::full, 0, 6'000'000);
  add(Variant::decomposed, 1, 4'000'000);
  add(Variant::cached, 1, 2'000'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 60, .rounds = 10, .seed = 1, .discard = false});
  meter.warm_up();
  log_.clear();
  ASSERT_EQ(meter.rounds_to_next_look(), 10);
  for (int i = 0; i < 10; ++i) {
    meter.round();
  }
  const std::vector<double> expected = ratios_by_log(log_, runners_[2].instances[0].session.get(),
                                                     runners_[0].instances[0].session.get());
  ASSERT_EQ(runners_[2].ratios.size(), expected.size());
  std::vector<double> errors;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    errors.push_back(std::abs(runners_[2].ratios[i] / expected[i] - 1));
  }
  std::ranges::sort(errors);
  EXPECT_LT(errors[5], 0.02);  // the clocks' own few microseconds, in most rounds
  std::vector<double> phases = runners_[2].phase_ns[0];
  std::ranges::sort(phases);
  EXPECT_NEAR(phases[5], 2e6 / static_cast<double>(runners_[2].plan.phases.size()), 1e3);
}

/// Two instances of which the second is the slower.
TEST_F(MeterTest, InstancesEachRunEverySampleAndTheSlowestIsItsTime) {
  add(Variant::full, 0, 1'000'000);
  runners_[0].instances.emplace_back().session =
      std::make_unique<SpinningSession>(3'000'000, runners_[0].plan.phases.size());
  InstanceTeam team(2);
  Meter meter(runners_, team, probe_,
              {.max_time_s = 60, .rounds = 10, .seed = 1, .discard = false});
  run_to_the_end(meter);
  EXPECT_GE(std::ranges::min(runners_[0].samples_ns), 3e6);
  const auto runs_of = [this](std::size_t i) {
    return dynamic_cast<SpinningSession&>(*runners_[0].instances[i].session).runs;
  };
  EXPECT_EQ(runs_of(0), runs_of(1));
  EXPECT_GE(runs_of(0), 10 * runners_[0].forwards);
  std::vector<double> phases = runners_[0].phase_ns[0];  // of the first instance
  std::ranges::sort(phases);
  EXPECT_NEAR(phases[5], 1e6 / static_cast<double>(runners_[0].plan.phases.size()), 1e3);
}

TEST_F(MeterTest, NeverFewerThanTenRoundsEvenOutOfTime) {
  add(Variant::full, 0, 2'000'000);
  add(Variant::cached, 1, 2'000'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 0.001, .rounds = 0, .seed = 1, .discard = false});
  run_to_the_end(meter);
  EXPECT_EQ(meter.rounds(), Meter::kFewestRounds);
  EXPECT_TRUE(meter.stopped() == "min_rounds" || meter.stopped() == "precision") << meter.stopped();
}

TEST_F(MeterTest, LooksStandOnTheGeometricSchedule) {
  add(Variant::full, 0, 1'000'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 60, .rounds = 1000, .seed = 1, .discard = false});
  meter.warm_up();
  EXPECT_EQ(meter.rounds_to_next_look(), 10);
  for (int i = 0; i < 10; ++i) {
    meter.round();
  }
  EXPECT_EQ(meter.rounds_to_next_look(), 5);
}

TEST_F(MeterTest, DroppedRoundsAreGoneFromEveryVariantAndCounted) {
  add(Variant::full, 0, 200'000);
  add(Variant::cached, 1, 100'000);
  Meter meter(runners_, team_, probe_,
              {.max_time_s = 60, .rounds = 5, .seed = 1, .discard = false});
  run_to_the_end(meter);
  const std::vector<double> samples = runners_[1].samples_ns;
  const std::vector<double> ratios = runners_[1].ratios;
  const std::vector<std::int64_t> dropped = {0, 3};
  meter.drop(dropped);
  EXPECT_EQ(meter.rounds(), 3);
  EXPECT_EQ(meter.discarded(), 2);
  EXPECT_EQ(runners_[1].samples_ns, (std::vector<double>{samples[1], samples[2], samples[4]}));
  EXPECT_EQ(runners_[1].ratios, (std::vector<double>{ratios[1], ratios[2], ratios[4]}));
  for (const Runner& runner : runners_) {
    EXPECT_EQ(runner.samples_ns.size(), 3U);
    for (const std::vector<double>& phase : runner.phase_ns) {
      EXPECT_EQ(phase.size(), 3U);
    }
  }
}

TEST_F(MeterTest, ADeviceIsTimedByItsOwnClockWhereItRunsAlone) {
  add(Variant::full, 0, 2'000'000);
  Runner& runner = runners_.front();
  const auto phases = runner.plan.phases.size();
  runner.instances.front().session = std::make_unique<DeviceSession>(2'000'000, phases);
  Meter meter(runners_, team_, probe_, {.max_time_s = 1, .rounds = 3, .discard = false});
  meter.warm_up();
  while (meter.rounds_to_next_look() > 0) {
    meter.round();
  }
  EXPECT_TRUE(runner.device_clock);
  ASSERT_GE(runner.samples_ns.size(), 3u);
  for (const double ns : runner.samples_ns) {
    EXPECT_EQ(ns, DeviceSession::kOwnNs);
  }
  ASSERT_EQ(runner.hidden_ns.size(), phases);
  EXPECT_EQ(runner.hidden_ns.front().front(), 7'000);
  const std::size_t rounds = runner.samples_ns.size();
  meter.drop(std::vector<std::int64_t>{0});
  EXPECT_EQ(runner.hidden_ns.front().size(), rounds - 1) << "a dropped round is gone from it too";
}

/// Its processors may be busy or their clocks low: a device's own time knows nothing of it.
TEST_F(MeterTest, TheProcessorsRateDiscardsNothingThatADeviceTimed) {
  for (const bool device : {true, false}) {
    runners_.clear();
    add(Variant::full, 0, 2'000'000);
    if (device) {
      Runner& runner = runners_.front();
      runner.instances.front().session =
          std::make_unique<DeviceSession>(2'000'000, runner.plan.phases.size());
    }
    Meter meter(runners_, team_, probe_, {.max_time_s = 60, .rounds = 10, .seed = 1});
    run_to_the_end(meter);
    EXPECT_EQ(meter.rounds(), 10);
    EXPECT_EQ(meter.fastest_burst() > 0, !device) << "bursts are for who is judged by them";
    EXPECT_TRUE(!device || meter.discarded() == 0);
  }
}

TEST_F(MeterTest, DevicesBesideEachOtherAreTimedByTheCallersClock) {
  add(Variant::full, 0, 2'000'000);
  Runner& runner = runners_.front();
  const auto phases = runner.plan.phases.size();
  runner.instances.front().session = std::make_unique<DeviceSession>(2'000'000, phases);
  runner.instances.emplace_back().session = std::make_unique<DeviceSession>(2'000'000, phases);
  InstanceTeam two(2);
  Meter meter(runners_, two, probe_, {.max_time_s = 1, .rounds = 2, .discard = false});
  meter.warm_up();
  (void)meter.rounds_to_next_look();
  meter.round();
  EXPECT_FALSE(runner.device_clock);
  EXPECT_GE(runner.samples_ns.front(), 2'000'000);
}

}  // namespace
}  // namespace deformer
