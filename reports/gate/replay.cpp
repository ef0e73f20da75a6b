#include "reports/gate/replay.hpp"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "model/error.hpp"
#include "profilers/statistics.hpp"
#include "reports/gate/distributions.hpp"
#include "reports/gate/other_rules.hpp"
#include "reports/gate/verdict.hpp"
#include "reports/gate/words.hpp"

namespace deformer {
namespace {

using Random = std::mt19937_64;

/// Times of one side, all processes thrown together: what a tool that knows no processes sees.
struct Pooled {
  std::vector<double> base, head;
};

Pooled pooled_times(const GatePoint& point) {
  Pooled times;
  for (const GatePair& pair : point.pairs) {
    if (pair.confirming) {
      continue;
    }
    for (std::size_t r = 0; r < pair.base.size(); ++r) {
      times.base.push_back(pair.base[r].ns);
      times.head.push_back(pair.head[r].ns);
    }
  }
  return times;
}

enum class Said { nothing, slower, faster };

constexpr std::array<const char*, 4> kRules = {
    "deformer-bench gate", "Mann-Whitney U test, p < 0.05 (Google Benchmark's compare.py)",
    "fixed threshold of 10 % on the mean", "fixed threshold of 200 % on the mean"};

Said by_u_test(const Pooled& times) {
  if (mann_whitney_p(times.base, times.head) >= 0.05) {
    return Said::nothing;
  }
  return *median(times.head) > *median(times.base) ? Said::slower : Said::faster;
}

/// `most`: the mean of head over that of base.
Said by_threshold(const Pooled& times, double most) {
  const double ratio = *mean(times.head) / *mean(times.base);
  return ratio > most ? Said::slower : ratio < 1 / most ? Said::faster : Said::nothing;
}

/// One gate: pairs drawn without replacement, the same of every point where all have as many.
class Draw {
 public:
  Draw(const GateInput& recorded, const ReplayPlan& plan, bool exchanged, bool side_by_side,
       Random& random)
      : recorded_(recorded), plan_(plan), exchanged_(exchanged), random_(random) {
    gate_.base = recorded.base;
    gate_.head = recorded.head;
    gate_.identical_allowed = true;
    injected_ = std::uniform_int_distribution<std::size_t>(0, recorded.points.size() - 1)(random);
    for (const GatePoint& point : recorded.points) {
      drawn_.push_back(side_by_side
                           ? orders(point.pairs.size())
                           : orders(std::min(point.base_alone.size(), point.head_alone.size())));
      GatePoint& next = gate_.points.emplace_back();
      next.key = point.key;
      next.name = point.name;
      next.group = point.group;
      next.variant = point.variant;
      next.base.status = next.head.status = "ok";
    }
    side_by_side_ = side_by_side;
  }

  /// Adds pairs [first, last) of those drawn.
  void add(std::int64_t first, std::int64_t last, bool confirming) {
    for (std::size_t p = 0; p < gate_.points.size(); ++p) {
      for (std::int64_t i = first; i < last; ++i) {
        GatePair pair = recorded_pair(p, static_cast<std::size_t>(i));
        pair.confirming = confirming;
        shorten(pair);
        slow_down(pair, p);
        gate_.points[p].pairs.push_back(std::move(pair));
      }
    }
  }

  const GateInput& gate() const { return gate_; }
  std::size_t injected() const { return injected_; }

 private:
  struct Order {
    std::vector<std::size_t> places;
    std::vector<bool> exchanged;
  };

  Order orders(std::size_t count) {
    // Processes measure every point: what disturbed one of them is to hit the same gate.
    if (!drawn_.empty() && drawn_.back().places.size() == count) {
      return drawn_.back();
    }
    Order order;
    order.places.resize(count);
    std::iota(order.places.begin(), order.places.end(), std::size_t{0});
    std::ranges::shuffle(order.places, random_);
    for (std::size_t i = 0; i < count; ++i) {
      order.exchanged.push_back(exchanged_ && (random_() & 1) != 0);
    }
    return order;
  }

  GatePair recorded_pair(std::size_t p, std::size_t i) const {
    const GatePoint& point = recorded_.points[p];
    const Order& order = drawn_[p];
    GatePair pair;
    if (side_by_side_) {
      pair = point.pairs[order.places[i]];
    } else if (exchanged_) {  // one pool of processes for both sides: neighbours in a random order
      pair.base = point.base_alone[order.places[2 * i]].rounds;
      pair.head = point.base_alone[order.places[2 * i + 1]].rounds;
    } else {
      pair.base = point.base_alone[order.places[i]].rounds;
      pair.head = point.head_alone[order.places[i]].rounds;
    }
    const std::size_t common = std::min(pair.base.size(), pair.head.size());
    pair.base.resize(common);
    pair.head.resize(common);
    if (order.exchanged[i]) {
      std::swap(pair.base, pair.head);
    }
    return pair;
  }

  void shorten(GatePair& pair) const {
    const auto most = static_cast<std::size_t>(plan_.rounds);
    if (most > 0 && pair.base.size() > most) {
      pair.base.resize(most);
      pair.head.resize(most);
    }
  }

  /// A slower `full` is also slower where it stood beside the variants of its group.
  void slow_down(GatePair& pair, std::size_t p) const {
    if (plan_.inject == 0) {
      return;
    }
    const GatePoint& at = gate_.points[injected_];
    const bool full_of_group = at.variant == "full" && gate_.points[p].group == at.group;
    for (GateRound& round : pair.head) {
      round.ns *= p == injected_ ? 1 + plan_.inject : 1;
      round.full_ns *= full_of_group ? 1 + plan_.inject : 1;
    }
  }

  const GateInput& recorded_;
  const ReplayPlan& plan_;
  bool exchanged_;
  bool side_by_side_ = true;
  Random& random_;
  GateInput gate_;
  std::vector<Order> drawn_;
  std::size_t injected_ = 0;
};

class Counter {
 public:
  Counter(const ReplayPlan& plan, std::vector<ReplayCount>& counts)
      : plan_(plan), counts_(counts) {}

  void judge_ours(Draw& draw, const GateRules& rules) {
    GateResult result = judge(draw.gate(), rules);
    if (plan_.fresh > 0 && std::ranges::any_of(result.points, &PointVerdict::suspected)) {
      draw.add(plan_.processes, plan_.processes + plan_.fresh, true);
      result = judge(draw.gate(), rules);
    }
    std::vector<Said> said;
    for (const PointVerdict& point : result.points) {
      said.push_back(point.verdict == Verdict::regressed  ? Said::slower
                     : point.verdict == Verdict::improved ? Said::faster
                                                          : Said::nothing);
    }
    const bool alarmed = count(0, draw, said);
    const bool open = plan_.inject == 0
                          ? result.verdict == Verdict::ambiguous
                          : result.points[draw.injected()].verdict == Verdict::ambiguous;
    counts_[0].undecided += !alarmed && open ? 1 : 0;
  }

  void judge_others(const Draw& draw) {
    std::array<std::vector<Said>, 3> said;
    for (const GatePoint& point : draw.gate().points) {
      const Pooled times = pooled_times(point);
      said[0].push_back(by_u_test(times));
      said[1].push_back(by_threshold(times, 1.1));
      said[2].push_back(by_threshold(times, 2.0));
    }
    for (std::size_t rule = 0; rule < said.size(); ++rule) {
      count(rule + 1, draw, said[rule]);
    }
  }

 private:
  bool count(std::size_t rule, const Draw& draw, const std::vector<Said>& said) {
    const Said wanted = plan_.inject < 0 ? Said::faster : Said::slower;
    bool alarmed = false;
    bool elsewhere = false;
    const GatePoint& at = draw.gate().points[draw.injected()];
    for (std::size_t p = 0; p < said.size(); ++p) {
      // What a slower full does to the ratios of its group is no false alarm.
      const bool concerned = at.variant == "full" && draw.gate().points[p].group == at.group;
      if (plan_.inject == 0 || p == draw.injected()) {
        alarmed = alarmed || said[p] == wanted;
      } else if (!concerned) {
        elsewhere = elsewhere || said[p] == Said::slower;
      }
    }
    counts_[rule].alarms += alarmed ? 1 : 0;
    counts_[rule].elsewhere += elsewhere ? 1 : 0;
    return alarmed;
  }

  const ReplayPlan& plan_;
  std::vector<ReplayCount>& counts_;
};

std::vector<ReplayCount> no_counts() {
  std::vector<ReplayCount> counts;
  for (const char* rule : kRules) {
    counts.push_back({rule, 0, 0, 0});
  }
  return counts;
}

std::size_t observed(const GatePoint& point, bool side_by_side, bool one_pool) {
  if (side_by_side) {
    return point.pairs.size();
  }
  const std::size_t alone = std::min(point.base_alone.size(), point.head_alone.size());
  return one_pool ? alone / 2 : alone;
}

}  // namespace

Replay::Replay(const GateInput& recorded) {
  recorded_.base = recorded.base;
  recorded_.head = recorded.head;
  exchanged_ = !recorded.base.build.empty() && recorded.base.build == recorded.head.build;
  side_by_side_ = std::ranges::any_of(recorded.points,
                                      [](const GatePoint& point) { return !point.pairs.empty(); });
  for (const GatePoint& point : recorded.points) {
    const bool whole = point.base.injected.empty() && point.head.injected.empty();
    if (whole && observed(point, side_by_side_, exchanged_) > 0) {
      recorded_.points.push_back(point);
      recorded_.points.back().base.ranges = nullptr;
      recorded_.points.back().head.ranges = nullptr;
    }
  }
  if (recorded_.points.empty()) {
    throw BadInput(
        "expected recorded rounds of both sides of a point, without a planted slowdown, found "
        "none; "
        "record some with `gate measure --aa` or with several sweeps --fresh");
  }
}

std::int64_t Replay::pairs() const {
  std::size_t fewest = observed(recorded_.points.front(), side_by_side_, exchanged_);
  for (const GatePoint& point : recorded_.points) {
    fewest = std::min(fewest, observed(point, side_by_side_, exchanged_));
  }
  return static_cast<std::int64_t>(fewest);
}

ReplayOutcome Replay::run(const ReplayPlan& plan, const GateRules& rules) const {
  if (plan.processes + plan.fresh > pairs()) {
    throw BadInput(
        fmt::format("expected {} recorded pairs of processes of each point ({} a gate, {} to "
                    "confirm), found {}; "
                    "ask for fewer with --processes and --confirm, or record more",
                    plan.processes + plan.fresh, plan.processes, plan.fresh, pairs()));
  }
  GateRules with_confirmation = rules;
  with_confirmation.confirm = plan.fresh > 0;
  // Every gate has a seed of its own, so that the number of workers changes nothing.
  const auto part = [&](std::int64_t first, std::int64_t step) {
    std::vector<ReplayCount> counts = no_counts();
    Counter counter(plan, counts);
    for (std::int64_t gate = first; gate < plan.gates; gate += step) {
      std::seed_seq seeds{plan.seed, static_cast<std::uint64_t>(gate)};
      Random random(seeds);
      Draw draw(recorded_, plan, exchanged_, side_by_side_, random);
      draw.add(0, plan.processes, false);
      counter.judge_others(draw);
      counter.judge_ours(draw, with_confirmation);
    }
    return counts;
  };
  const std::int64_t workers = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<std::vector<ReplayCount>>> parts;
  for (std::int64_t w = 0; w < workers; ++w) {
    parts.push_back(std::async(std::launch::async, part, w, workers));
  }
  ReplayOutcome outcome{plan, no_counts()};
  for (auto& done : parts) {
    const std::vector<ReplayCount> counts = done.get();
    for (std::size_t rule = 0; rule < counts.size(); ++rule) {
      outcome.counts[rule].alarms += counts[rule].alarms;
      outcome.counts[rule].elsewhere += counts[rule].elsewhere;
      outcome.counts[rule].undecided += counts[rule].undecided;
    }
  }
  return outcome;
}

Table replay_table(const std::vector<ReplayOutcome>& outcomes) {
  Table table;
  table.title = "Gates drawn from recorded rounds";
  table.columns = {
      {"injected", "injected", "", "Slowdown of one point of head; 0: none, any alarm is false"},
      {"rule", "rule", "", "Who judges", true},
      {"gates", "gates", "", "Gates drawn", false, Hint::count},
      {"alarms", "alarms", "", "Gates that alarm: at any point, or at the one injected", false,
       Hint::count},
      {"share", "share", "", "Alarms over gates: false alarms at 0, else the share detected"},
      {"low", "low", "", "Low end of its 95 % Clopper-Pearson interval"},
      {"high", "high", "", "High end"},
      {"elsewhere", "elsewhere", "", "Gates with an alarm at a point without injection", false,
       Hint::count},
      {"undecided", "undecided", "", "Gates without an alarm that are not all clear either", false,
       Hint::count},
  };
  const auto share = [](double value) {
    return Cell::number(value, fmt::format("{:.3f} %", 100 * value));
  };
  for (const ReplayOutcome& outcome : outcomes) {
    for (const ReplayCount& count : outcome.counts) {
      const std::int64_t gates = outcome.plan.gates;
      const Interval bounds = clopper_pearson(count.alarms, gates, 0.95);
      table.rows.push_back({Cell::number(outcome.plan.inject, percent_words(outcome.plan.inject)),
                            count.rule, Cell::number(static_cast<double>(gates)),
                            Cell::number(static_cast<double>(count.alarms)),
                            share(static_cast<double>(count.alarms) / static_cast<double>(gates)),
                            share(bounds.low), share(bounds.high),
                            Cell::number(static_cast<double>(count.elsewhere)),
                            Cell::number(static_cast<double>(count.undecided))});
    }
  }
  return table;
}

}  // namespace deformer
