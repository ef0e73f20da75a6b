#include "harness/gate_measure.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "harness/gate_clock.hpp"
#include "harness/gate_count.hpp"
#include "harness/gate_file.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;
using Kind = WorkerFailure::Kind;

/// Deciding fields that are the machine's: a library may be what head changed.
std::map<std::string, std::string> machine_of(const WorkerHello& hello) {
  auto fields = deciding_of_run(ordered_json{{"machine", hello.machine}});
  std::erase_if(fields, [](const auto& field) { return field.first.starts_with("library "); });
  return fields;
}

std::vector<std::string> runnable(const WorkerGroupPlan& group) {
  std::vector<std::string> keys;
  for (const WorkerPoint& point : group.points) {
    if (!point.skip) {
      keys.push_back(point.key);
    }
  }
  return keys;
}

void refuse_identical(const GateMeasureOptions& options, const char* what) {
  if (!options.identical_allowed) {
    throw BadInput(fmt::format(
        "--base, --head: expected two programs, found the same {} twice ({} and {}): a gate of a "
        "program against itself can only pass; give another, or --aa when that is meant",
        what, options.setting.base, options.setting.head));
  }
}

class GateRun {
 public:
  GateRun(const GateMeasureOptions& options, GateJudge& judge, GateProgramFile base,
          GateProgramFile head)
      : options_(options),
        judge_(judge),
        base_(std::move(base)),
        head_(std::move(head)),
        file_(options.out) {
    if (!file_.existing().torn_tail.empty()) {
      judge_.warning(file_.existing().torn_tail);
    }
  }

  GateMeasured run() {
    try {
      if (plan()) {
        count();
        measure_groups();
        file_.end();
      }
    } catch (const ChildInterrupted&) {
      measured_.interrupted = true;
    }
    measured_.runs = file_.runs();
    measured_.records = file_.records();
    measured_.ends = file_.ends();
    return std::move(measured_);
  }

 private:
  bool plan() {
    judge_.step("starting both programs");
    try {
      plans_ = plan_pair(options_.setting);
    } catch (const SideFailure& failure) {
      measured_.failure = GateFailure{failure.side(), failure.kind(), failure.what()};
      return false;
    }
    if (plans_.base_hello.build == plans_.head_hello.build) {
      refuse_identical(options_, "build");
    }
    count_ = choose_count(options_.count, options_.setting, plans_);
    if (!count_.why.empty()) {
      judge_.warning(count_.why);
      measured_.notes.push_back(count_.why);
    }
    file_.start(base_, head_, plans_, options_.setting.inject, options_.command, options_.options);
    return true;
  }

  void count() {
    if (count_.by) {
      file_.add_counts(
          count_gate(options_.setting, plans_,
                     {.by = *count_.by,
                      .valgrind = options_.count.valgrind,
                      .max_time_s = options_.max_time_s,
                      .step = [this](const std::string& what) { judge_.step(what); }}));
    }
  }

  void measure_groups() {
    for (const WorkerGroupPlan& base : plans_.base) {
      file_.add_unmeasured({Side::base, &base, "skipped", "", true, 0});
      const auto head = std::ranges::find(plans_.head, base.key, &WorkerGroupPlan::key);
      if (head != plans_.head.end()) {
        file_.add_unmeasured({Side::head, &*head, "skipped", "", true, 0});
      }
      if (head == plans_.head.end() || runnable(base) != runnable(*head)) {
        file_.add_unmeasured({Side::base, &base, "failed",
                              "not measured: head would not run the same points of this group",
                              false, 0});
      } else if (!runnable(base).empty()) {
        measure_group(base, *head);
      }
    }
    for (const WorkerGroupPlan& head : plans_.head) {
      if (std::ranges::find(plans_.base, head.key, &WorkerGroupPlan::key) == plans_.base.end()) {
        judge_.warning(fmt::format("{}: not measured, only head has it", head.name));
      }
    }
  }

  void measure_group(const WorkerGroupPlan& base, const WorkerGroupPlan& head) {
    pairs_ = 0;
    try {
      measure_pairs(base, head);
    } catch (const SideFailure& failure) {
      const std::string reason =
          fmt::format("{} gave no measurement: {}", side_name(failure.side()), failure.what());
      judge_.warning(fmt::format("{}: {}", base.name, reason));
      file_.add_unmeasured({failure.side(), failure.side() == Side::base ? &base : &head,
                            status_after(failure.side(), failure.kind()), reason, false, pairs_});
      if (pairs_ == 0) {
        const Side left = failure.side() == Side::base ? Side::head : Side::base;
        file_.add_unmeasured({left, left == Side::base ? &base : &head, "failed",
                              "not measured: " + reason, false, 0});
      }
    }
  }

  void measure_pairs(const WorkerGroupPlan& base, const WorkerGroupPlan& head) {
    const std::size_t first_record = file_.records().size();
    GateClock clock(options_.max_time_s * static_cast<double>(runnable(base).size()),
                    options_.fewest_pairs);
    const PairRun first = measure_one(base, false, clock.length());
    if (report_parity(base, head, first)) {
      return;
    }
    clock.first(first);
    std::vector<std::int64_t> looks;
    std::int64_t confirming_from = 0;  // 0: nothing is suspected
    while (options_.pairs > 0 ? pairs_ < options_.pairs : clock.fits(confirming_from > 0)) {
      clock.next(measure_one(base, confirming_from > 0, clock.length()));
      if (looks.empty()) {
        looks = gate_looks(options_.fewest_pairs, pairs_ + clock.fitting());
        measured_.looks = std::max(measured_.looks, static_cast<int>(looks.size()));
      }
      if (options_.pairs > 0 || !time_to_look(looks, confirming_from, clock)) {
        continue;
      }
      const GateLook look =
          judge_.look(file_.runs(),
                      {file_.records().begin() + static_cast<std::ptrdiff_t>(first_record),
                       file_.records().end()},
                      static_cast<int>(looks.size()));
      if (look.decided) {
        return;
      }
      if (look.suspected && confirming_from == 0) {
        confirming_from = pairs_;
        judge_.warning(fmt::format(
            "{}: a regression is suspected; measuring it again in fresh processes", base.name));
      }
    }
  }

  /// At the planned numbers of pairs and when the time is over; once a regression is suspected,
  /// whenever as many pairs again as a first look has are there.
  bool time_to_look(const std::vector<std::int64_t>& looks, std::int64_t confirming_from,
                    const GateClock& clock) const {
    if (!clock.fits(confirming_from > 0)) {
      return true;
    }
    return confirming_from > 0 ? (pairs_ - confirming_from) % options_.fewest_pairs == 0
                               : std::ranges::find(looks, pairs_) != looks.end();
  }

  PairRun measure_one(const WorkerGroupPlan& group, bool confirming, const PairLength& length) {
    PairSetting setting = options_.setting;
    setting.parity = setting.parity && pairs_ == 0;
    judge_.step(fmt::format("{}: {} pairs of processes, {} rounds{}", group.name, pairs_,
                            measured_.rounds, confirming ? "; confirming" : ""));
    PairRun run = measure_pair(setting,
                               {.group = group.key,
                                .index = pairs_,
                                .base_run = file_.run_id(Side::base),
                                .head_run = file_.run_id(Side::head),
                                .set = file_.set_name(group.key, pairs_)},
                               length);
    check_unchanged(Side::base, plans_.base_hello, run.base_hello);
    check_unchanged(Side::head, plans_.head_hello, run.head_hello);
    if (run.rounds > 0) {
      file_.add_pair(run, pairs_, confirming);
      ++pairs_;
      ++measured_.pairs;
      measured_.rounds += run.rounds - run.discarded;
      measured_.discarded += run.discarded;
    }
    return run;
  }

  /// The same build on the same machine as at the start.
  static void check_unchanged(Side side, const WorkerHello& before, const WorkerHello& now) {
    if (now.build != before.build) {
      throw SideFailure(side,
                        {Kind::changed, fmt::format("the program changed while it was measured: "
                                                    "build {} at first, {} now",
                                                    before.build, now.build)});
    }
    const std::string difference =
        describe_differences(machine_of(before), machine_of(now), "at first", "now");
    if (!difference.empty()) {
      throw SideFailure(
          side, {Kind::changed, "the machine changed while it was measured: " + difference});
    }
  }

  /// Whether a side failed parity; then nothing was measured.
  bool report_parity(const WorkerGroupPlan& base, const WorkerGroupPlan& head, const PairRun& run) {
    const auto report = [&](Side side, const WorkerGroupPlan& group, const std::string& failed) {
      if (!failed.empty()) {
        file_.add_unmeasured({side, &group, "invalid", "parity failed: " + failed, false, 0});
      } else if (run.rounds == 0) {
        file_.add_unmeasured(
            {side, &group, "failed", "not measured: the other side's parity failed", false, 0});
      }
    };
    report(Side::base, base, run.parity_failed_base);
    report(Side::head, head, run.parity_failed_head);
    return run.rounds == 0;
  }

  const GateMeasureOptions& options_;
  GateJudge& judge_;
  GateProgramFile base_, head_;
  GateFile file_;
  PairPlans plans_;
  CountChoice count_;
  std::int64_t pairs_ = 0;  ///< of the group
  GateMeasured measured_;
};

}  // namespace

GateMeasured measure_gate(const GateMeasureOptions& options, GateJudge& judge) {
  check_program(options.setting.base);
  check_program(options.setting.head);
  const GateProgramFile base = read_program_file(options.setting.base);
  const GateProgramFile head = read_program_file(options.setting.head);
  if (base.sha256 == head.sha256) {
    refuse_identical(options, "file");
  }
  return GateRun(options, judge, base, head).run();
}

}  // namespace deformer
