#include "harness/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <set>
#include <system_error>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "backends/registry.hpp"
#include "harness/budget_state.hpp"
#include "harness/done.hpp"
#include "harness/interrupt.hpp"
#include "harness/model_shelf.hpp"
#include "harness/parity.hpp"
#include "harness/record.hpp"
#include "harness/run_roofs.hpp"
#include "harness/thread_places.hpp"
#include "model/error.hpp"
#include "model/sha256.hpp"
#include "profilers/clock.hpp"
#include "profilers/device_watch.hpp"
#include "profilers/machine.hpp"
#include "profilers/processors.hpp"
#include "profilers/statistics.hpp"
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
      : spec_(spec),
        groups_(groups),
        options_(options),
        driver_(driver),
        observer_(observer),
        hardware_(this_machine()),
        machine_(machine_json(hardware_)),
        places_(options.pin),
        writer_(options.out),
        done_(writer_.existing(), options, machine_),
        shelf_(spec, groups,
               {machine_store_folder(), choices_identity(hardware_, options.build.build),
                [&observer](const std::string& message) { observer.warning(message); }}),
        roofs_(hardware_, options.build.build, options.roofs,
               [&observer](const std::string& message) { observer.warning(message); }),
        started_ns_(now_ns()) {
    context_.run = new_run_id();
    context_.common_options = common_options(options_, measure_options_);
    context_.roofs = &roofs_;
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
      roofs_.measure(pending);
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
                      {"id", context_.run},
                      {"started", utc_now()},
                      {"version", options_.build.version},
                      {"revision", options_.build.revision},
                      {"build", options_.build.build},
                      {"flags", options_.build.flags},
                      {"command", options_.command},
                      {"options", options_.resolved_options},
                      {"machine", machine_},
                      {"roofs", roofs_.run_json()}};
    return line;
  }

  ordered_json end_line() const {
    return {{"type", "end"},
            {"run", context_.run},
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
      context_.common_options = common_options(options_, measure_options_);
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
      states[step->group].setup_s = std::max(0.0, took_s - measured_s_);
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

  void begin_set(std::size_t size) {
    context_.set = fmt::format("{}-{}", context_.run, ++sets_);
    context_.set_size = static_cast<std::int64_t>(size);
  }

  std::string reproduce(const PlannedGroup& group, const PlannedPoint& planned) const {
    return reproduce_command(spec_.models[group.model], spec_, planned.point,
                             context_.common_options);
  }

  void write_unmeasured(const PlannedGroup& group, const std::vector<const PlannedPoint*>& points,
                        const std::string& status, const std::string& reason) {
    std::vector<ordered_json> records;
    begin_set(points.size());
    for (const PlannedPoint* planned : points) {
      records.push_back(unmeasured_record(group, *planned, context_, status,
                                          reason.empty() ? planned->reason : reason,
                                          reproduce(group, *planned)));
    }
    writer_.append(records);
    remember(records);
  }

  void write_skipped(const PlannedGroup& group) {
    std::vector<const PlannedPoint*> skipped;
    for (const PlannedPoint& planned : group.points) {
      if (planned.skip != Skip::no && !done_.contains(group, planned)) {
        skipped.push_back(&planned);
      }
    }
    if (!skipped.empty()) {
      write_unmeasured(group, skipped, "skipped", "");
      result_.skipped += skipped.size();
    }
  }

  /// A group that fails is recorded as failed and the sweep goes on; bad input and a run file that
  /// can't be written end it.
  void measure_group(const PlannedGroup& group, const std::vector<const PlannedPoint*>& chosen) {
    try {
      measure_set(group, chosen);
    } catch (const BadInput&) {
      throw;
    } catch (const std::system_error&) {
      throw;
    } catch (const std::exception& error) {
      observer_.warning(fmt::format("{}: failed: {}", group_name(group), error.what()));
      std::vector<const PlannedPoint*> missing = chosen;  // a full measured before stays as it is
      std::erase_if(missing,
                    [&](const PlannedPoint* planned) { return done_.contains(group, *planned); });
      write_unmeasured(group, missing, "failed", error.what());
      result_.failed += missing.size();
    }
  }

  void measure_set(const PlannedGroup& group, const std::vector<const PlannedPoint*>& chosen) {
    const StepProgress step = [this](const std::string& what, std::int64_t done, std::int64_t of) {
      observer_.step(what, done, of);
    };
    step("packing weights", 0, 0);
    const WeightSource& weights = shelf_.weights(group);
    Model& model = shelf_.model(group);
    GroupOptions sizes = group_options(
        group, machine_.at("last_level_cache_bytes").get<std::int64_t>(), available_memory_bytes());
    sizes.detail = options_.detail;
    const Point& point = chosen.front()->point;
    warn_of_crowding(point);
    const KeptAffinity kept;  // sessions bind the thread that runs them
    InstanceTeam team(point.instances, places_.choose(point));
    PreparedGroup prepared(spec_, group, chosen, model, team, sizes, step);
    std::vector<ParityRecord> parity;
    if (options_.parity && !interrupted()) {
      step("checking parity", 0, 0);
      parity = parity_.check(prepared, weights);
    }
    if (interrupted()) {
      return;
    }
    roofs_.refresh(point);
    Probe probe(point.threads);
    DeviceWatch* device = device_of(point);
    measure_options_.device = device;
    if (device != nullptr) {
      device->start();
    }
    Meter meter(prepared.runners(), team, probe, measure_options_);
    const std::int64_t begin_ns = now_ns();
    measure(group, prepared, meter);
    measured_s_ = static_cast<double>(now_ns() - begin_ns) * 1e-9;
    roofs_.saw_f32(point.threads * point.instances, meter.fastest_burst());
    if (device != nullptr) {
      device->stop();
    }
    context_.device = device != nullptr ? device->json() : ordered_json(nullptr);
    context_.processors = team.processors();
    context_.engines = model.engines();
    context_.injected = options_.inject.text;
    context_.memory = {.rss_anon_bytes = rss_anon_bytes(),
                       .huge_page_bytes = huge_page_bytes(),
                       .weights_bytes = model.weight_bytes(),
                       .pool_bytes = prepared.pool_bytes(),
                       .planned_bytes = planned_bytes(group, sizes)};
    if (!interrupted()) {  // a set cut short is measured again on resume
      write_measured(group, prepared, meter, parity);
    }
  }

  /// The watch over the device that computes a point; null for the host's processors. Says once who
  /// else computes there.
  DeviceWatch* device_of(const Point& point) {
    const std::string bus = require_backend(point.backend).info().device_bus;
    if (bus.empty()) {
      return nullptr;
    }
    auto& watch = devices_[bus];
    if (watch == nullptr) {
      watch = std::make_unique<DeviceWatch>(bus);
      const int others = NvmlDevice(bus).read().other_processes.value_or(0);
      if (!watch->missing().empty()) {
        observer_.warning("throttling goes unnoticed: " + watch->missing());
      } else if (others > 0) {
        observer_.warning(fmt::format("{} other processes compute on device {}", others, bus));
      }
    }
    return watch.get();
  }

  void warn_of_crowding(const Point& point) {
    const std::string crowding = places_.crowding(point);
    if (!crowding.empty() && warned_of_.insert(crowding).second) {
      observer_.warning(crowding);
    }
  }

  void measure(const PlannedGroup& group, PreparedGroup& prepared, Meter& meter) {
    observer_.step("warming up", 0, 0);
    meter.warm_up();
    if (options_.inject) {
      prepared.inject(options_.inject);
    }
    const auto round = [&] {
      if (!interrupted()) {
        meter.round();
        if (observer_.wants_rounds()) {
          observer_.rounds(meter.view());
        }
      }
    };
    const auto counters = [&] {
      BenchmarkDriver::Counters values;
      for (const Runner& runner : prepared.runners()) {
        const Point& point = runner.planned->point;
        const std::string name =
            runner.is_full() ? "full_ns"
                             : fmt::format("{}_k{}{}_ns", to_string(point.variant), point.split,
                                           point.variant == Variant::cached
                                               ? fmt::format("_{}", to_string(point.cache_dtype))
                                               : "");
        values.emplace_back(name, median(runner.samples_ns).value_or(0));
      }
      values.emplace_back("rounds", static_cast<double>(meter.rounds()));
      values.emplace_back("discarded", static_cast<double>(meter.discarded()));
      return values;
    };
    while (!interrupted()) {
      const std::int64_t rounds = meter.rounds_to_next_look();
      if (rounds == 0) {
        break;
      }
      driver_.run_look(group_name(group), rounds, round, counters);
    }
    driver_.finish_group(group_name(group), meter.rounds());
  }

  void write_measured(const PlannedGroup& group, PreparedGroup& prepared, const Meter& meter,
                      const std::vector<ParityRecord>& parity) {
    std::vector<Runner>& runners = prepared.runners();
    const auto full = std::ranges::find_if(runners, &Runner::is_full);
    const Runner* full_runner = full == runners.end() ? nullptr : &*full;
    const auto parity_of = [&](const Runner* runner) -> const ParityRecord* {
      return runner == nullptr || parity.empty()
                 ? nullptr
                 : &parity[static_cast<std::size_t>(runner - runners.data())];
    };
    begin_set(runners.size());
    std::vector<ordered_json> records;
    for (const Runner& runner : runners) {
      records.push_back(measured_record(group, runner, meter, full_runner, parity_of(&runner),
                                        parity_of(full_runner), context_,
                                        reproduce(group, *runner.planned)));
      const bool ok = records.back().at("status") == "ok";
      (ok ? result_.ok : result_.invalid) += 1;
    }
    if (options_.examiner != nullptr) {
      options_.examiner->examine(prepared, roofs_, records,
                                 [this](const std::string& what, std::int64_t done,
                                        std::int64_t of) { observer_.step(what, done, of); });
    }
    writer_.append(records);
    remember(records);
  }

  void remember(const std::vector<ordered_json>& records) {
    written_.insert(written_.end(), records.begin(), records.end());
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

  const SweepSpec& spec_;
  const std::vector<PlannedGroup>& groups_;
  const SweepOptions& options_;
  BenchmarkDriver& driver_;
  SweepObserver& observer_;
  Machine hardware_;
  ordered_json machine_;
  ThreadPlaces places_;
  std::map<std::string, std::unique_ptr<DeviceWatch>> devices_;  ///< by bus
  std::set<std::string> warned_of_;
  RunWriter writer_;
  Done done_;
  ModelShelf shelf_;
  RunRoofs roofs_;
  ParityChecker parity_;
  SetContext context_;
  MeasureOptions measure_options_ = options_.measure;  ///< a budget changes the rounds
  double measured_s_ = 0;                              ///< of the last set, without its preparation
  std::size_t sets_ = 0;
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
