#include "reports/gate/replay.hpp"

#include <algorithm>
#include <future>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "model/error.hpp"
#include "profilers/statistics.hpp"
#include "reports/gate/distributions.hpp"
#include "reports/gate/draw.hpp"
#include "reports/gate/replay_count.hpp"
#include "reports/gate/words.hpp"

namespace deformer {
namespace {

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
    ReplayCounter counter(plan, counts);
    for (std::int64_t gate = first; gate < plan.gates; gate += step) {
      std::seed_seq seeds{plan.seed, static_cast<std::uint64_t>(gate)};
      std::mt19937_64 random(seeds);
      Draw draw({&recorded_, &plan, exchanged_, side_by_side_}, random);
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
      outcome.counts[rule].pairs += counts[rule].pairs;
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
      {"pairs", "pairs", "", "Pairs of processes a gate took, on average"},
  };
  const auto share = [](double value) {
    return Cell::number(value, fmt::format("{:.3f} %", 100 * value));
  };
  for (const ReplayOutcome& outcome : outcomes) {
    for (const ReplayCount& count : outcome.counts) {
      const std::int64_t gates = outcome.plan.gates;
      const Interval bounds = clopper_pearson(count.alarms, gates, 0.95);
      table.rows.push_back(
          {Cell::number(outcome.plan.inject, percent_words(outcome.plan.inject)), count.rule,
           Cell::number(static_cast<double>(gates)),
           Cell::number(static_cast<double>(count.alarms)),
           share(static_cast<double>(count.alarms) / static_cast<double>(gates)), share(bounds.low),
           share(bounds.high), Cell::number(static_cast<double>(count.elsewhere)),
           Cell::number(static_cast<double>(count.undecided)),
           Cell::number(static_cast<double>(count.pairs) / static_cast<double>(gates),
                        fmt::format("{:.1f}", static_cast<double>(count.pairs) /
                                                  static_cast<double>(gates)))});
    }
  }
  return table;
}

}  // namespace deformer
