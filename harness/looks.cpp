#include "harness/looks.hpp"

#include <algorithm>
#include <cmath>

#include "harness/interrupt.hpp"
#include "harness/meter.hpp"
#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

constexpr int kWarmUps = 3;
constexpr std::int64_t kFewestRounds = 10;

/// Forwards that make a sample of a millisecond, by the quickest of some.
void warm_up(Look& look) {
  double fastest_ns = 1e18;
  for (int i = 0; i < kWarmUps; ++i) {
    const std::int64_t start = now_ns();
    look.forward();
    fastest_ns = std::min(fastest_ns, static_cast<double>(now_ns() - start));
  }
  look.forwards = std::max<std::int64_t>(
      1,
      static_cast<std::int64_t>(std::ceil(Meter::kShortestSampleNs / std::max(fastest_ns, 1.0))));
}

/// Mean of so many forwards, by the clock that the rounds go by: a device's own where it has one.
double sample_ns(Look& look, std::int64_t forwards, bool summed) {
  look.round_sums.clear();
  const bool by_device = look.session->device_ns().has_value();
  std::int64_t device_ns = 0;
  const std::int64_t start = now_ns();
  for (std::int64_t i = 0; i < forwards; ++i) {
    look.forward();
    if (by_device) {
      device_ns += look.session->device_ns().value_or(0);
    }
    if (summed) {
      look.round_sums.add(*look.session->ranges());
    }
  }
  const std::int64_t elapsed_ns = by_device ? device_ns : now_ns() - start;
  return static_cast<double>(elapsed_ns) / static_cast<double>(forwards);
}

void sample(Look& look) {
  look.ns.push_back(sample_ns(look, look.forwards, !look.ranges.empty()));
  const auto forwards = static_cast<double>(look.forwards);
  for (std::size_t range = 0; range < look.range_ns.size(); ++range) {
    look.range_ns[range].push_back(look.round_sums.elapsed_ns(static_cast<int>(range)) / forwards);
  }
}

}  // namespace

void Look::forward() {
  if (walk) {
    inputs.cached_passages = walk->next();
  }
  session->run(inputs);
}

double Look::median_ns() const {
  return median(ns).value_or(0);
}

double Look::range_median_ns(std::size_t range) const {
  return median(range_ns[range]).value_or(0);
}

Look make_look(PreparedGroup& group, Runner& runner, std::string name, Plan plan,
               SessionOptions options) {
  Look look;
  look.name = std::move(name);
  look.plan = std::move(plan);
  look.detail = options.detail;
  look.session = group.model().prepare(look.plan, runner.planned->point.shape, options);
  look.inputs = runner.instances.front().inputs;
  if (look.plan.loads_passages()) {
    look.walk.emplace(*runner.pool, 0, 1);
  }
  if (options.detail > Detail::none && look.session->ranges() != nullptr) {
    look.ranges = plan_ranges(group.group().config, look.plan, options.detail);
    look.range_ns.resize(look.ranges.size());
    look.round_sums = RangeSums(*look.session->ranges());
  }
  return look;
}

void measure_looks(std::vector<Look>& looks, double limit_s, std::int64_t most) {
  for (Look& look : looks) {
    warm_up(look);
  }
  const std::int64_t end_ns = now_ns() + static_cast<std::int64_t>(limit_s * 1e9);
  const std::size_t count = looks.size();
  for (std::int64_t round = 0; round < most && !interrupted(); ++round) {
    if (round >= kFewestRounds && now_ns() >= end_ns) {
      break;
    }
    for (std::size_t i = 0; i < count; ++i) {
      // Forwards and backwards, from another start each time: none is always behind the same one.
      const std::size_t turned = (i + static_cast<std::size_t>(round / 2)) % count;
      sample(looks[round % 2 == 0 ? turned : count - 1 - turned]);
    }
  }
}

void pair_looks(std::vector<PairedLook>& looks, double limit_s, std::int64_t most) {
  const std::int64_t end_ns = now_ns() + static_cast<std::int64_t>(limit_s * 1e9);
  const std::size_t count = looks.size();
  // One forward, however short: both sides carry the same readings of the clock, and what disturbs
  // a forward then spoils one pair of many, where a mean of several would take it in.
  const auto half_forward_ns = [](PairedLook& paired) {
    paired.look->session->record(paired.recorded);
    // A sweep, which stays at phases, adds up their few times and no ranges.
    const bool summed = paired.recorded && paired.look->detail > Detail::phase;
    return sample_ns(*paired.look, 1, summed) / 2;
  };
  for (std::int64_t round = 0; round < most && !interrupted(); ++round) {
    if (round >= kFewestRounds && now_ns() >= end_ns) {
      break;
    }
    // From another one each time, so that none is always at the turn.
    const auto turned = [&](std::size_t i) -> PairedLook& {
      return looks[(i + static_cast<std::size_t>(round)) % count];
    };
    for (std::size_t i = 0; i < count; ++i) {
      turned(i).ns.push_back(half_forward_ns(turned(i)));
    }
    for (std::size_t i = count; i-- > 0;) {
      turned(i).ns.back() += half_forward_ns(turned(i));
    }
  }
  for (const PairedLook& paired : looks) {
    paired.look->session->record(true);
  }
}

}  // namespace deformer
