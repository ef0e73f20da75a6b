#include "harness/set_measurer.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "harness/benchmark_driver.hpp"
#include "harness/interrupt.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"
#include "profilers/machine.hpp"
#include "profilers/processors.hpp"
#include "profilers/statistics.hpp"

namespace deformer {

using nlohmann::ordered_json;

SetMeasurer::SetMeasurer(const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
                         const SweepOptions& options, BenchmarkDriver& driver,
                         SweepObserver& observer)
    : spec_(spec),
      options_(options),
      driver_(driver),
      observer_(observer),
      step_([&observer](const std::string& what, std::int64_t done, std::int64_t of) {
        observer.step(what, done, of);
      }),
      hardware_(this_machine()),
      machine_(machine_json(hardware_)),
      places_(options.pin),
      shelf_(spec, groups,
             {machine_store_folder(), choices_identity(hardware_, options.build.build),
              [&observer](const std::string& message) { observer.warning(message); }}),
      roofs_(hardware_, options.build.build, options.roofs,
             [&observer](const std::string& message) { observer.warning(message); }) {}

std::vector<ordered_json> SetMeasurer::measure(const PlannedGroup& group,
                                               const std::vector<const PlannedPoint*>& chosen,
                                               SetContext context, MeasureOptions measuring) {
  step_("packing weights", 0, 0);
  const WeightSource& weights = shelf_.weights(group);
  Model& model = shelf_.model(group);
  GroupOptions sizes = group_options(
      group, machine_.at("last_level_cache_bytes").get<std::int64_t>(), available_memory_bytes());
  sizes.detail = options_.detail;
  const Point& point = chosen.front()->point;
  warn_of_crowding(point);
  const KeptAffinity kept;  // sessions bind the thread that runs them
  InstanceTeam team(point.instances, places_.choose(point));
  PreparedGroup prepared(spec_, group, chosen, model, team, sizes, step_);
  std::vector<ParityRecord> parity;
  if (options_.parity && !interrupted()) {
    step_("checking parity", 0, 0);
    parity = parity_.check(prepared, weights);
  }
  if (interrupted()) {
    return {};
  }
  roofs_.refresh(point);
  Probe probe(point.threads);
  DeviceWatch* device = device_of(point);
  measuring.device = device;
  if (device != nullptr) {
    device->start();
  }
  Meter meter(prepared.runners(), team, probe, measuring);
  const std::int64_t begin_ns = now_ns();
  run_rounds(group, prepared, meter);
  measured_s_ = static_cast<double>(now_ns() - begin_ns) * 1e-9;
  roofs_.saw_f32(point.threads * point.instances, meter.fastest_burst());
  if (device != nullptr) {
    device->stop();
  }
  context.device = device != nullptr ? device->json() : ordered_json(nullptr);
  context.processors = team.processors();
  context.engines = model.engines();
  context.memory = {.rss_anon_bytes = rss_anon_bytes(),
                    .huge_page_bytes = huge_page_bytes(),
                    .weights_bytes = model.weight_bytes(),
                    .pool_bytes = prepared.pool_bytes(),
                    .planned_bytes = planned_bytes(group, sizes)};
  return interrupted() ? std::vector<ordered_json>{}
                       : records_of(group, prepared, meter, parity, context);
}

std::vector<ordered_json> SetMeasurer::records_of(const PlannedGroup& group,
                                                  PreparedGroup& prepared, const Meter& meter,
                                                  const std::vector<ParityRecord>& parity,
                                                  const SetContext& context) {
  std::vector<Runner>& runners = prepared.runners();
  const auto full = std::ranges::find_if(runners, &Runner::is_full);
  const Runner* full_runner = full == runners.end() ? nullptr : &*full;
  const auto parity_of = [&](const Runner* runner) -> const ParityRecord* {
    return runner == nullptr || parity.empty()
               ? nullptr
               : &parity[static_cast<std::size_t>(runner - runners.data())];
  };
  std::vector<ordered_json> records;
  for (const Runner& runner : runners) {
    records.push_back(measured_record(group, runner, meter, full_runner, parity_of(&runner),
                                      parity_of(full_runner), context,
                                      reproduce(group, *runner.planned, context)));
  }
  if (options_.examiner != nullptr) {
    options_.examiner->examine(prepared, roofs_, records, step_);
  }
  return records;
}

void SetMeasurer::run_rounds(const PlannedGroup& group, PreparedGroup& prepared, Meter& meter) {
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

/// The watch over the device that computes a point; null for the host's processors. Says once who
/// else computes there.
DeviceWatch* SetMeasurer::device_of(const Point& point) {
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

void SetMeasurer::warn_of_crowding(const Point& point) {
  const std::string crowding = places_.crowding(point);
  if (!crowding.empty() && warned_of_.insert(crowding).second) {
    observer_.warning(crowding);
  }
}

std::vector<ordered_json> SetMeasurer::unmeasured(const PlannedGroup& group,
                                                  const std::vector<const PlannedPoint*>& points,
                                                  const SetContext& context,
                                                  const std::string& status,
                                                  const std::string& reason) const {
  std::vector<ordered_json> records;
  for (const PlannedPoint* planned : points) {
    records.push_back(unmeasured_record(group, *planned, context, status,
                                        reason.empty() ? planned->reason : reason,
                                        reproduce(group, *planned, context)));
  }
  return records;
}

std::string SetMeasurer::reproduce(const PlannedGroup& group, const PlannedPoint& planned,
                                   const SetContext& context) const {
  return reproduce_command(spec_.models[group.model], spec_, planned.point, context.common_options);
}

}  // namespace deformer
