#include "harness/record.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "harness/range_record.hpp"
#include "harness/shell_word.hpp"
#include "model/cost.hpp"
#include "profilers/machine.hpp"
#include "profilers/or_null.hpp"
#include "profilers/statistics.hpp"
#include "workloads/tasks.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostSamples = 1000;

std::vector<double> pick(const std::vector<double>& values,
                         const std::vector<std::int64_t>& rounds) {
  std::vector<double> picked;
  picked.reserve(rounds.size());
  for (const std::int64_t round : rounds) {
    picked.push_back(values[static_cast<std::size_t>(round)]);
  }
  return picked;
}

void add_interval(ordered_json& json, std::span<const double> samples) {
  const std::optional<Interval> interval = median_interval(samples);
  json["median"] = or_null(median(samples));
  json["ci_low"] = interval ? ordered_json(interval->low) : ordered_json(nullptr);
  json["ci_high"] = interval ? ordered_json(interval->high) : ordered_json(nullptr);
}

ordered_json time_json(const Runner& runner, const Meter& meter,
                       const std::vector<std::int64_t>& rounds) {
  const std::vector<double>& samples = runner.samples_ns;
  // A mean of several forwards, or of the anchors of a round, says nothing of single forwards.
  const bool single = runner.forwards == 1 && !(runner.is_full() && meter.has_variants());
  ordered_json time;
  time["unit"] = "ns";
  time["samples"] = pick(samples, rounds);
  time["round"] = rounds;
  add_interval(time, samples);
  time["min"] = samples.empty() ? ordered_json(nullptr) : ordered_json(std::ranges::min(samples));
  time["mean"] = or_null(mean(samples));
  time["stdev"] = or_null(stdev(samples));
  time["p90"] = single ? or_null(percentile(samples, 0.90)) : ordered_json(nullptr);
  time["p99"] = single ? or_null(percentile(samples, 0.99)) : ordered_json(nullptr);
  time["rounds"] = meter.rounds();
  time["discarded"] = meter.discarded();
  time["stopped"] = meter.stopped();
  time["forwards_per_sample"] = runner.forwards;
  if (runner.device_clock) {
    time["clock"] = "device";
  }
  return time;
}

ordered_json speedup_json(const ModelConfig& config, const Runner& runner, const Runner& full,
                          const SetContext& context, const std::vector<std::int64_t>& rounds) {
  const std::vector<double>& ratios = runner.ratios;
  const double flops = flop_ratio(config, runner.planned->point);
  ordered_json speedup;
  speedup["versus"] = {{"key", full.planned->key}, {"set", context.set}};
  speedup["samples"] = pick(ratios, rounds);
  add_interval(speedup, ratios);
  speedup["flop_ratio"] = flops;
  speedup["requested_reduction"] = requested_reduction(config, runner.planned->point);
  const std::optional<double> centre = median(ratios);
  speedup["efficiency"] = centre ? ordered_json(*centre / flops) : ordered_json(nullptr);
  return speedup;
}

ordered_json phases_json(const Runner& runner, const PlanCost& cost) {
  ordered_json phases = ordered_json::array();
  for (std::size_t p = 0; p < runner.plan.phases.size(); ++p) {
    phases.push_back({{"name", phase_name(runner.plan.phases[p])},
                      {"median_ns", or_null(median(runner.phase_ns[p]))},
                      {"flops", cost.phases[p].total.flops()}});
    if (!runner.hidden_ns.empty()) {
      phases.back()["hidden_median_ns"] = or_null(median(runner.hidden_ns[p]));
    }
  }
  return phases;
}

ordered_json head_of_record(const PlannedGroup& group, const PlannedPoint& planned,
                            const SetContext& context, const std::string& status,
                            const std::string& reason, const std::string& reproduce) {
  ordered_json record;
  record["type"] = "record";
  record["schema"] = 1;
  record["run"] = context.run;
  record["key"] = planned.key;
  record["group"] = group.key;
  record["name"] = planned.name;
  record["point"] = point_json(planned.point);
  record["status"] = status;
  record["reason"] = reason.empty() ? ordered_json(nullptr) : ordered_json(reason);
  record["set"] = context.set;
  record["set_size"] = context.set_size;
  record["reproduce"] = reproduce;
  if (!context.injected.empty()) {
    record["injected"] = context.injected;
  }
  return record;
}

ordered_json cost_json(const PlanCost& cost, std::optional<std::int64_t> executed) {
  return {{"flops", cost.total.flops()},
          {"flops_gemm", cost.total.flops_gemm},
          {"flops_attention", cost.total.flops_attention},
          {"flops_elementwise", cost.total.flops_elementwise},
          {"flops_nominal", cost.total.flops_nominal},
          {"flops_precomputed", cost.total.flops_precomputed},
          {"flops_issued", cost.total.flops_issued},
          {"flops_executed", or_null(executed)},
          {"bytes_weights", cost.weights_bytes},
          {"bytes_activations", cost.total.bytes_activations},
          {"bytes_activation_peak", cost.activation_peak_bytes},
          {"bytes_requested", cost.total.bytes_requested},
          {"bytes_cache_passage", cost.cache_bytes_passage},
          {"bytes_cache_batch", cost.cache_bytes_batch}};
}

Point full_of(Point point) {
  point.variant = Variant::full;
  return point;
}

/// A rate of something done `count` times in the median time of a forward, by every instance.
ordered_json per_second(std::int64_t count, const Point& point, const ordered_json& median_ns) {
  if (median_ns.is_null()) {
    return nullptr;
  }
  return static_cast<double>(count) * point.instances * 1e9 / median_ns.get<double>();
}

ordered_json throughput_json(const Point& point, const ordered_json& median_ns) {
  const std::int64_t tokens = cumulative_tokens(point.shape, Segment::joint).back();
  return {{"items_per_s", per_second(point.batch, point, median_ns)},
          {"tokens_per_s", per_second(tokens, point, median_ns)}};
}

ordered_json memory_json(const SessionMemory& session, std::optional<std::int64_t> launches,
                         const SetMemory& set) {
  return {{"peak_bytes", session.peak_bytes},       {"requested_bytes", session.requested_bytes},
          {"rss_peak_bytes", rss_peak_bytes()},     {"rss_anon_bytes", set.rss_anon_bytes},
          {"huge_page_bytes", set.huge_page_bytes}, {"weights_bytes", set.weights_bytes},
          {"pool_bytes", set.pool_bytes},           {"planned_bytes", set.planned_bytes},
          {"launches", or_null(launches)}};
}

ordered_json engines_json(const std::vector<std::pair<std::string, std::string>>& engines) {
  ordered_json object;
  for (const auto& [product, engine] : engines) {
    object[product] = engine;
  }
  return object;
}

ordered_json pool_json(const Runner& runner) {
  if (runner.pool == nullptr) {
    return nullptr;
  }
  return {
      {"passages", runner.pool_size.passages},
      {"sets", runner.pool_size.sets},
      {"bytes", runner.pool_size.bytes},
      {"shortfall", runner.pool_size.shortfall.empty() ? ordered_json(nullptr)
                                                       : ordered_json(runner.pool_size.shortfall)}};
}

}  // namespace

ordered_json parity_json(const ParityRecord* parity) {
  if (parity == nullptr) {
    return nullptr;
  }
  return {{"against", parity->against},
          {"sequences", parity->sequences},
          {"max_abs", parity->max_abs},
          {"cosine_min", parity->cosine_min},
          {"max_abs_between_instances", or_null(parity->max_abs_between_instances)},
          {"tolerance", or_null(parity->tolerance)},
          {"rule", parity->rule},
          {"ok", parity->ok}};
}

ordered_json cost_json(const ModelConfig& config, const Point& point) {
  return cost_json(plan_cost(config, point), std::nullopt);
}

double flop_ratio(const ModelConfig& config, const Point& point) {
  const auto flops = [&config](const Point& which) {
    return static_cast<double>(plan_cost(config, which).total.flops());
  };
  return flops(full_of(point)) / flops(point);
}

double requested_reduction(const ModelConfig& config, const Point& point) {
  const auto bytes = [&config](const Point& which) {
    return static_cast<double>(plan_cost(config, which).total.bytes_requested);
  };
  return 1 - bytes(point) / bytes(full_of(point));
}

std::string reproduce_command(const ModelChoice& model, const SweepSpec& spec, const Point& point,
                              const std::string& common_options) {
  std::string command = fmt::format("deformer-bench sweep --model {}", shell_word(model.argument));
  const auto add = [&command](std::string_view option, const auto& value) {
    fmt::format_to(std::back_inserter(command), " {} {}", option, value);
  };
  if (!point.task.empty()) {
    add("--task", point.task);
  }
  if (point.lengths.empty() || spec.lengths.kind == Lengths::Kind::uniform) {
    add("--question", point.question);
  }
  if (point.lengths.empty()) {
    add("--passage", point.passage);
  } else {
    add("--lengths", shell_word(spec.lengths.source));
  }
  if (!point.text.empty()) {
    add("--text", shell_word(spec.text_file.string()));
    add("--questions", shell_word(spec.questions_file.string()));
  }
  add("--batch", point.batch);
  const Task* task = find_task(point.task);
  if (point.r != (task != nullptr ? task->r : 1)) {
    add("--questions-per-passage", point.r);
  }
  if (point.c != 1) {
    add("--candidates", point.c);
  }
  if (point.order != (task != nullptr ? task->order : Order::question_first)) {
    add("--order", to_string(point.order));
  }
  const bool full = point.variant == Variant::full;
  add("--variant", full ? "full" : fmt::format("full,{}", to_string(point.variant)));
  if (!full) {
    add("--split", point.split);
  }
  add("--backend", point.backend);
  if (const BackendOrigin origin = backend_origin(point.backend); origin.given) {
    add("--plugin", shell_word(origin.file.string()));
  }
  add("--dtype", to_string(point.dtype));
  if (point.variant == Variant::cached) {
    add("--cache-dtype", to_string(point.cache_dtype));
    if (point.passages > 0) {
      add("--passages", point.passages);
    }
    if (point.cache_at != CachePlace::device) {
      add("--cache-at", to_string(point.cache_at));
    }
  }
  if (point.cold) {
    command += " --cold";
  }
  add("--threads", point.threads);
  if (point.instances != 1) {
    add("--instances", point.instances);
  }
  if (point.seed != 1) {
    add("--seed", point.seed);
  }
  return command + common_options;
}

ordered_json unmeasured_record(const PlannedGroup& group, const PlannedPoint& planned,
                               const SetContext& context, const std::string& status,
                               const std::string& reason, const std::string& reproduce) {
  ordered_json record = head_of_record(group, planned, context, status, reason, reproduce);
  for (const char* field :
       {"time", "speedup", "cost", "achieved", "memory", "phases", "counters", "parity"}) {
    record[field] = nullptr;
  }
  return record;
}

ordered_json measured_record(const PlannedGroup& group, const Runner& runner, const Meter& meter,
                             const Runner* full, const ParityRecord* parity,
                             const ParityRecord* full_parity, const SetContext& context,
                             const std::string& reproduce) {
  const bool valid = parity == nullptr || parity->ok;
  const bool full_valid = full_parity == nullptr || full_parity->ok;
  const std::string reason =
      valid ? ""
            : fmt::format("parity failed: max_abs {:.3g}, worst row cosine {:.6f}, expected {}",
                          parity->max_abs, parity->cosine_min, parity->rule);
  ordered_json record =
      head_of_record(group, *runner.planned, context, valid ? "ok" : "invalid", reason, reproduce);
  const Point& point = runner.planned->point;
  const PlanCost cost = plan_cost(group.config, point);
  const std::vector<std::int64_t> rounds = thin(meter.rounds(), kMostSamples);
  record["time"] = time_json(runner, meter, rounds);
  const bool has_ratio = full != nullptr && !runner.is_full() && valid && full_valid;
  record["speedup"] = has_ratio ? speedup_json(group.config, runner, *full, context, rounds)
                                : ordered_json(nullptr);
  record["cost"] = cost_json(cost, runner.session().flops_executed());
  const auto& median_ns = record["time"]["median"];
  const std::optional<double> gflops =
      median_ns.is_null() ? std::nullopt
                          : std::optional(static_cast<double>(cost.total.flops()) *
                                          point.instances / median_ns.get<double>());
  record["achieved"] = context.roofs->achieved_json(point, cost, runner.pool_size.bytes, gflops);
  record["throughput"] = throughput_json(point, median_ns);
  record["processors"] =
      context.processors.empty() ? ordered_json(nullptr) : ordered_json(context.processors);
  record["engines"] = engines_json(context.engines);
  if (!context.device.is_null()) {
    record["device"] = context.device;
  }
  record["memory"] =
      memory_json(runner.session().memory(), runner.session().launches(), context.memory);
  record["phases"] = phases_json(runner, cost);
  record["ranges"] = ranges_json(runner, cost);
  record["operations"] = operations_json(runner, cost);
  record["counters"] = nullptr;
  record["parity"] = parity_json(parity);
  record["pool"] = pool_json(runner);
  return record;
}

}  // namespace deformer
