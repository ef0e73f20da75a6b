#include "reports/gate/replay_count.hpp"

#include <algorithm>
#include <array>

#include "profilers/statistics.hpp"
#include "reports/gate/other_rules.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer {
namespace {

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

struct Seen {
  bool decided = true, suspected = false;
};

Seen look_over(const Draw& draw, const GateRules& rules) {
  std::int64_t tests = 0;
  for (const GatePoint& point : draw.gate().points) {
    tests += point.variant == "full" ? 1 : 2;
  }
  Seen seen;
  for (const GatePoint& point : draw.gate().points) {
    const Progress progress = look_at(point, rules, tests);
    seen.decided = seen.decided && progress.decided;
    seen.suspected = seen.suspected || progress.suspected;
  }
  return seen;
}

}  // namespace

std::vector<ReplayCount> no_counts() {
  std::vector<ReplayCount> counts;
  for (const char* rule : kRules) {
    counts.push_back({rule, 0, 0, 0, 0});
  }
  return counts;
}

void ReplayCounter::judge_ours(Draw& draw, GateRules rules) {
  const std::vector<std::int64_t> looks = plan_.first_look > 0
                                              ? gate_looks(plan_.first_look, plan_.processes)
                                              : std::vector{plan_.processes};
  rules.looks = static_cast<int>(looks.size());
  std::int64_t drawn = 0;
  for (const std::int64_t look : looks) {
    draw.add(drawn, look, false);
    drawn = look;
    const Seen seen = look_over(draw, rules);
    if (seen.suspected) {
      drawn = confirm(draw, drawn, rules);
    }
    if (seen.suspected || seen.decided) {
      break;
    }
  }
  counts_[0].pairs += drawn;
  const GateResult result = judge(draw.gate(), rules);
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

void ReplayCounter::judge_others(Draw draw) {
  draw.add(0, plan_.processes, false);
  std::array<std::vector<Said>, 3> said;
  for (const GatePoint& point : draw.gate().points) {
    const Pooled times = pooled_times(point);
    said[0].push_back(by_u_test(times));
    said[1].push_back(by_threshold(times, 1.1));
    said[2].push_back(by_threshold(times, 2.0));
  }
  for (std::size_t rule = 0; rule < said.size(); ++rule) {
    count(rule + 1, draw, said[rule]);
    counts_[rule + 1].pairs += plan_.processes;
  }
}

/// Fresh pairs, as many at a time as a first look has. Returns how many pairs there are then.
std::int64_t ReplayCounter::confirm(Draw& draw, std::int64_t drawn, const GateRules& rules) const {
  const std::int64_t step = plan_.first_look > 0 ? plan_.first_look : plan_.fresh;
  const std::int64_t most = drawn + plan_.fresh;
  while (drawn < most) {
    const std::int64_t next = std::min(most, drawn + step);
    draw.add(drawn, next, true);
    drawn = next;
    if (look_over(draw, rules).decided) {
      break;
    }
  }
  return drawn;
}

bool ReplayCounter::count(std::size_t rule, const Draw& draw, const std::vector<Said>& said) {
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

}  // namespace deformer
