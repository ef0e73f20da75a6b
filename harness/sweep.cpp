#include "harness/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <set>
#include <system_error>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "harness/budget_state.hpp"
#include "harness/done.hpp"
#include "harness/interrupt.hpp"
#include "harness/record.hpp"
#include "harness/set_measurer.hpp"
#include "model/error.hpp"
#include "model/sha256.hpp"
#include "profilers/clock.hpp"
#include "records/run_file.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string new_run_id() {
  const auto ticks = std::chrono::system_clock::now().time_since_epoch().count();
  return sha256_hex(fmt::format("{} {} {}", ticks, getpid(), now_ns())).substr(0, 12);
}

/// Before anything was measured; the first set corrects it.
constexpr double kBudgetFlopsPerSecond = 3e10;

class Sweep {
 public:
  Sweep(const SweepSpec& spec, const std::vector<PlannedGroup>& groups, const SweepOptions& options,
        BenchmarkDriver& driver, SweepObserver& observer)
      : groups_(groups),
        options_(options),
        observer_(observer),
        measurer_(spec, groups, options, driver, observer),
        writer_(options.out),
        done_(writer_.existing(), options, measurer_.machine()),
        started_ns_(now_ns()) {
    if (!writer_.existing().torn_tail.empty()) {
      observer_.warning(writer_.existing().torn_tail);
    }
  }

  SweepResult run() {
    std::vector<const Point*> pending;
    std::size_t missing = 0;
    for (const PlannedGroup& group : groups_) {
      for (const PlannedPoint& planned : group.points) {
        ++result_.points;
        const bool done = done_.contains(group, planned);
        (done ? result_.done_before : missing) += 1;
        if (!done && planned.skip == Skip::no) {
          pending.push_back(&planned.point);
        }
        result_.skipped_before += done && planned.skip != Skip::no ? 1 : 0;
      }
    }
    if (missing > 0) {
      measurer_.roofs().measure(pending);
      writer_.append({run_line()});
      if (options_.budget_s > 0) {
        spend_budget();
      } else {
        measure_groups();
      }
      writer_.append({end_line()});
    }
    collect_records();
    return std::move(result_);
  }

 private:
  ordered_json run_line() const {
    ordered_json line{{"type", "run"},
                      {"schema", kRunFileSchema},
                      {"id", run_},
                      {"started", utc_now()},
                      {"version", options_.build.version},
                      {"revision", options_.build.revision},
                      {"build", options_.build.build},
                      {"flags", options_.build.flags},
                      {"command", options_.command},
                      {"options", options_.resolved_options},
                      {"machine", measurer_.machine()},
                      {"roofs", measurer_.roofs().run_json()}};
    return line;
  }

  ordered_json end_line() const {
    return {{"type", "end"},
            {"run", run_},
            {"points", result_.points},
            {"ok", result_.ok},
            {"skipped", result_.skipped},
            {"failed", result_.failed},
            {"invalid", result_.invalid},
            {"wall_s", static_cast<double>(now_ns() - started_ns_) * 1e-9}};
  }

  void measure_groups() {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      write_skipped(groups_[i]);
      const std::vector<const PlannedPoint*> chosen = choose(groups_[i]);
      if (!chosen.empty()) {
        observer_.group_started(group_name(groups_[i]), i, groups_.size(), points_before(i),
                                result_.points);
        measure_group(groups_[i], chosen);
        observer_.group_finished();
      }
      if (interrupted()) {
        result_.interrupted = true;
        return;
      }
    }
  }

  /// Set after set where the budget does most good; see harness/budget.hpp.
  void spend_budget() {
    std::vector<BudgetGroup> states;
    std::vector<std::vector<const PlannedPoint*>> points;
    for (const PlannedGroup& group : groups_) {
      write_skipped(group);
      points.push_back(choose(group));
      states.push_back(unmeasured_budget(points.back(), group.config, kBudgetFlopsPerSecond));
    }
    const auto seconds_left = [this] {
      return options_.budget_s - static_cast<double>(now_ns() - started_ns_) * 1e-9;
    };
    while (const auto step = next_budget_step(states, seconds_left())) {
      const PlannedGroup& group = groups_[step->group];
      std::vector<const PlannedPoint*> chosen;
      for (const std::size_t p : step->points) {
        chosen.push_back(points[step->group][p]);
      }
      measure_options_.rounds = step->rounds;
      measure_options_.max_time_s = std::max(1.0, seconds_left());
      const std::int64_t begin_ns = now_ns();
      const std::size_t written = written_.size();
      observer_.group_started(group_name(group), step->group, groups_.size(),
                              points_before(step->group), result_.points);
      measure_group(group, chosen);
      observer_.group_finished();
      if (interrupted()) {
        result_.interrupted = true;
        return;
      }
      const std::vector<ordered_json> records(
          written_.begin() + static_cast<std::ptrdiff_t>(written), written_.end());
      update_budget(states[step->group], points[step->group], records);
      const double took_s = static_cast<double>(now_ns() - begin_ns) * 1e-9;
      states[step->group].setup_s = std::max(0.0, took_s - measurer_.measured_s());
    }
    count_budget_outcomes(points);
  }

  /// Points that a budget measured several times are counted once, by their last record.
  void count_budget_outcomes(const std::vector<std::vector<const PlannedPoint*>>& points) {
    std::map<std::string, std::string> last;
    for (const ordered_json& record : written_) {
      last[record.at("key").get<std::string>()] = record.at("status").get<std::string>();
    }
    result_.ok = result_.failed = result_.invalid = 0;
    for (const auto& group : points) {
      for (const PlannedPoint* planned : group) {
        const auto found = last.find(planned->key);
        if (found == last.end()) {
          result_.beyond_budget += done_before(*planned) ? 0 : 1;
          continue;
        }
        result_.ok += found->second == "ok" ? 1 : 0;
        result_.failed += found->second == "failed" ? 1 : 0;
        result_.invalid += found->second == "invalid" ? 1 : 0;
      }
    }
  }

  bool done_before(const PlannedPoint& planned) const {
    return std::ranges::any_of(groups_, [&](const PlannedGroup& group) {
      return std::ranges::any_of(group.points, [&](const PlannedPoint& point) {
        return &point == &planned && done_.contains(group, planned);
      });
    });
  }

  std::size_t points_before(std::size_t index) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < index; ++i) {
      count += groups_[i].points.size();
    }
    return count;
  }

  /// The missing points of a group, with its full, whose ratio they need.
  std::vector<const PlannedPoint*> choose(const PlannedGroup& group) const {
    std::vector<const PlannedPoint*> chosen;
    bool any = false;
    for (const PlannedPoint& planned : group.points) {
      const bool missing = planned.skip == Skip::no && !done_.contains(group, planned);
      any = any || missing;
      if (missing || (planned.point.variant == Variant::full && planned.skip == Skip::no)) {
        chosen.push_back(&planned);
      }
    }
    return any ? chosen : std::vector<const PlannedPoint*>{};
  }

  /// Of the set that is written next.
  SetContext set_context(std::size_t size) {
    SetContext context;
    context.run = run_;
    context.set = fmt::format("{}-{}", run_, sets_ + 1);
    context.set_size = static_cast<std::int64_t>(size);
    context.common_options = common_options(options_, measure_options_);
    context.injected = options_.inject.text;
    context.roofs = &measurer_.roofs();
    return context;
  }

  void write_set(const std::vector<ordered_json>& records) {
    ++sets_;
    writer_.append(records);
    written_.insert(written_.end(), records.begin(), records.end());
  }

  void write_skipped(const PlannedGroup& group) {
    std::vector<const PlannedPoint*> skipped;
    for (const PlannedPoint& planned : group.points) {
      if (planned.skip != Skip::no && !done_.contains(group, planned)) {
        skipped.push_back(&planned);
      }
    }
    if (!skipped.empty()) {
      write_set(measurer_.unmeasured(group, skipped, set_context(skipped.size()), "skipped", ""));
      result_.skipped += skipped.size();
    }
  }

  /// A group that fails is recorded as failed and the sweep goes on; bad input and a run file that
  /// can't be written end it.
  void measure_group(const PlannedGroup& group, const std::vector<const PlannedPoint*>& chosen) {
    try {
      const std::vector<ordered_json> records =
          measurer_.measure(group, chosen, set_context(chosen.size()), measure_options_);
      if (records.empty()) {
        return;  // interrupted
      }
      write_set(records);
      for (const ordered_json& record : records) {
        (record.at("status") == "ok" ? result_.ok : result_.invalid) += 1;
      }
    } catch (const BadInput&) {
      throw;
    } catch (const std::system_error&) {
      throw;
    } catch (const std::exception& error) {
      observer_.warning(fmt::format("{}: failed: {}", group_name(group), error.what()));
      std::vector<const PlannedPoint*> missing = chosen;  // a full measured before stays as it is
      std::erase_if(missing,
                    [&](const PlannedPoint* planned) { return done_.contains(group, *planned); });
      write_set(measurer_.unmeasured(group, missing, set_context(missing.size()), "failed",
                                     error.what()));
      result_.failed += missing.size();
    }
  }

  void collect_records() {
    RunFile all = writer_.existing();
    all.records.insert(all.records.end(), written_.begin(), written_.end());
    std::set<std::string> asked;
    for (const PlannedGroup& group : groups_) {
      for (const PlannedPoint& planned : group.points) {
        asked.insert(planned.key);
      }
    }
    // What was slowed down on purpose is no result of a sweep that was not.
    std::erase_if(all.records, [&](const ordered_json& record) {
      return !asked.contains(record.at("key").get<std::string>()) ||
             record.value("injected", "") != options_.inject.text;
    });
    all.runs.clear();
    result_.records = merged_records({all}, true);
  }

  const std::vector<PlannedGroup>& groups_;
  const SweepOptions& options_;
  SweepObserver& observer_;
  SetMeasurer measurer_;  ///< first: it reads what this process may use
  RunWriter writer_;
  Done done_;
  std::string run_ = new_run_id();
  MeasureOptions measure_options_ = options_.measure;  ///< a budget changes the rounds
  std::size_t sets_ = 0;                               ///< written
  std::int64_t started_ns_;
  std::vector<ordered_json> written_;
  SweepResult result_;
};

}  // namespace

std::string common_options(const SweepOptions& options, const MeasureOptions& measure) {
  std::string text;
  if (measure.rounds > 0) {
    text += fmt::format(" --rounds {}", measure.rounds);
  } else if (options.measure.max_time_s != MeasureOptions{}.max_time_s) {
    text += fmt::format(" --max-time {}", options.measure.max_time_s);
  }
  text += options.roofs ? "" : " --roofs off";
  text += options.parity ? "" : " --parity off";
  text +=
      options.detail == Detail::phase ? "" : fmt::format(" --detail {}", to_string(options.detail));
  text += options.inject ? fmt::format(" --inject {}", options.inject.text) : "";
  return options.pin ? text : text + " --pin off";
}

std::string group_name(const PlannedGroup& group) {
  Point shared = group.points.front().point;
  shared.variant = Variant::full;
  std::string name = point_name(shared);
  const std::size_t full = name.rfind("/full/");
  return full == std::string::npos ? name : name.erase(full, 5);
}

SweepResult run_sweep(const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
                      const SweepOptions& options, BenchmarkDriver& driver,
                      SweepObserver& observer) {
  return Sweep(spec, groups, options, driver, observer).run();
}

}  // namespace deformer
