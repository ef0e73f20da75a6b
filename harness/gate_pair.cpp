#include "harness/gate_pair.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "harness/worker_protocol.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// A block lasts about this long, so that what a switch costs (the other side's data in the caches)
/// falls on few samples and a disturbance still on both sides.
constexpr double kBlockSeconds = 0.025;
/// Where more than this share of the rounds was disturbed, the machine is disturbed for good, and
/// rounds are kept as they are.
constexpr double kMostDiscarded = 0.75;

double seconds_since(std::int64_t begin_ns) {
  return static_cast<double>(now_ns() - begin_ns) * 1e-9;
}

/// What a worker throws, with the side it happened on.
template <typename Work>
auto on_side(Side side, const Work& work) {
  try {
    return work();
  } catch (const WorkerFailure& failure) {
    throw SideFailure(side, failure);
  }
}

class Pair {
 public:
  explicit Pair(const PairSetting& setting) : setting_(setting) {}

  GateWorker& start(Side side) {
    auto& worker = workers_[static_cast<std::size_t>(side)];
    worker = on_side(side, [&] {
      return std::make_unique<GateWorker>(side == Side::base ? setting_.base : setting_.head,
                                          setting_.timeouts);
    });
    return *worker;
  }
  GateWorker& operator[](Side side) { return *workers_[static_cast<std::size_t>(side)]; }

  std::vector<WorkerGroupPlan> plan(Side side) {
    return on_side(side, [&] { return (*this)[side].plan(setting_.arguments); });
  }
  WorkerPrepared prepare(Side side, const std::string& group) {
    return on_side(side, [&] {
      return (*this)[side].prepare(group, setting_.parity,
                                   side == Side::head ? setting_.inject : "");
    });
  }
  void block(Side side, std::int64_t rounds) {
    const std::vector<bool> disturbed =
        on_side(side, [&] { return (*this)[side].measure(rounds); });
    auto& all = disturbed_[static_cast<std::size_t>(side)];
    all.insert(all.end(), disturbed.begin(), disturbed.end());
  }
  /// Rounds that either side saw disturbed.
  std::vector<std::int64_t> disturbed() const {
    std::vector<std::int64_t> rounds;
    for (std::size_t i = 0; i < disturbed_[0].size(); ++i) {
      if (disturbed_[0][i] || disturbed_[1][i]) {
        rounds.push_back(static_cast<std::int64_t>(i));
      }
    }
    return rounds;
  }

 private:
  const PairSetting& setting_;
  std::array<std::unique_ptr<GateWorker>, 2> workers_;
  std::array<std::vector<bool>, 2> disturbed_;
};

Side other(Side side) {
  return side == Side::base ? Side::head : Side::base;
}

/// Both must have measured the same points: records are compared one by one.
void check_same_points(const WorkerPrepared& base, const WorkerPrepared& head) {
  if (base.keys != head.keys) {
    throw SideFailure(Side::head, WorkerFailure(WorkerFailure::Kind::garbage,
                                                "it prepared other points than it planned"));
  }
}

/// A B A B ..., until the time is spent and the rounds are enough.
std::int64_t take_turns(Pair& pair, Side first, double round_s, const PairLength& length) {
  const auto in_block = std::clamp<std::int64_t>(
      std::llround(2 * kBlockSeconds / round_s), 1,
      std::max<std::int64_t>(1, std::min(kMostRoundsAsked, length.fewest_rounds)));
  const std::int64_t begin_ns = now_ns();
  std::int64_t rounds = 0;
  while (rounds < length.fewest_rounds || seconds_since(begin_ns) < length.seconds) {
    for (const Side side : {first, other(first)}) {
      pair.block(side, in_block);
    }
    rounds += in_block;
  }
  return rounds;
}

}  // namespace

const char* side_name(Side side) {
  return side == Side::base ? "base" : "head";
}

PairPlans plan_pair(const PairSetting& setting) {
  Pair pair(setting);
  PairPlans plans;
  plans.base_hello = pair.start(Side::base).hello();
  plans.head_hello = pair.start(Side::head).hello();
  plans.base = pair.plan(Side::base);
  plans.head = pair.plan(Side::head);
  pair[Side::base].quit();
  pair[Side::head].quit();
  return plans;
}

PairRun measure_pair(const PairSetting& setting, const PairOrder& order, const PairLength& length) {
  const Side first = order.index % 2 == 0 ? Side::base : Side::head;
  const std::int64_t begin_ns = now_ns();
  PairRun run;
  Pair pair(setting);
  std::array<WorkerPrepared, 2> prepared;
  for (const Side side : {first, other(first)}) {
    (side == Side::base ? run.base_hello : run.head_hello) = pair.start(side).hello();
    (void)pair.plan(side);
    prepared[static_cast<std::size_t>(side)] = pair.prepare(side, order.group);
  }
  run.parity_failed_base = prepared[0].parity_failed;
  run.parity_failed_head = prepared[1].parity_failed;
  run.setup_s = seconds_since(begin_ns);
  run.round_s = prepared[0].round_s + prepared[1].round_s;
  if (!run.parity_failed_base.empty() || !run.parity_failed_head.empty()) {
    return run;
  }
  check_same_points(prepared[0], prepared[1]);
  run.rounds = take_turns(pair, first, run.round_s, length);
  run.measured_s = seconds_since(begin_ns) - run.setup_s;
  std::vector<std::int64_t> discard = pair.disturbed();
  if (static_cast<double>(discard.size()) > kMostDiscarded * static_cast<double>(run.rounds)) {
    discard.clear();
  }
  run.discarded = static_cast<std::int64_t>(discard.size());
  run.base = on_side(Side::base,
                     [&] { return pair[Side::base].records(order.base_run, order.set, discard); });
  run.head = on_side(Side::head,
                     [&] { return pair[Side::head].records(order.head_run, order.set, discard); });
  pair[Side::base].quit();
  pair[Side::head].quit();
  return run;
}

}  // namespace deformer
