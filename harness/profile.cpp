#include "harness/profile.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "harness/interrupt.hpp"
#include "harness/record.hpp"
#include "harness/recording_cost.hpp"
#include "model/error.hpp"
#include "profilers/or_null.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostRounds = 2000;
/// Of the time for looking closer, what goes to the cost of recording, and its most rounds: it
/// takes thousands to see a thousandth, which is more than phases cost; operations cost more.
constexpr double kOverheadShare = 0.5;
constexpr double kPhasesShare = 0.8;  // of that
constexpr std::int64_t kMostPairedRounds = 20'000;

/// The looks at one runner, by their index in the list that is measured.
struct RunnerLooks {
  std::optional<std::size_t> plain;  ///< only where sessions can't do without recording
  std::size_t phases = 0, operations = 0, warm = 0, bare = 0;
  /// Of a device: as `warm`, with phases alone. Its operations start early behind one another,
  /// which they can't where each of them is timed.
  std::optional<std::size_t> warm_phases;
};

Plan without_layers(Plan plan) {
  std::erase_if(plan.phases, [](const Phase& phase) { return phase.kind == PhaseKind::encode; });
  return plan;
}

RunnerLooks add_looks(PreparedGroup& group, Runner& runner, std::vector<Look>& looks) {
  RunnerLooks at;
  const auto add = [&](const char* name, Plan plan, Detail detail, bool one_layer) {
    SessionOptions options = group.session_options(runner.planned->point, 0);
    options.detail = detail;
    options.one_layer = one_layer;
    looks.push_back(make_look(group, runner, name, std::move(plan), options));
    return looks.size() - 1;
  };
  at.phases = add("phases", runner.plan, Detail::phase, false);
  if (!looks[at.phases].session->record(true)) {
    at.plain = add("plain", runner.plan, Detail::none, false);
  }
  at.operations = add("operations", runner.plan, Detail::op, false);
  at.warm = add("warm", runner.plan, Detail::op, true);
  at.bare = add("bare", without_layers(runner.plan), Detail::phase, false);
  if (!require_backend(runner.planned->point.backend).info().device.empty()) {
    at.warm_phases = add("warm phases", runner.plan, Detail::phase, true);
  }
  return at;
}

/// Ratio of two looks paired by round: what recording costs is less than what a machine drifts in a
/// second.
ordered_json ratio_json(const PairedLook& over, const PairedLook& under) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(over.ns.size(), under.ns.size()); ++i) {
    ratios.push_back(over.ns[i] / under.ns[i]);
  }
  const auto interval = median_interval(ratios);
  return {{"ratio", or_null(median(ratios))},
          {"ci_low", interval ? ordered_json(interval->low) : ordered_json(nullptr)},
          {"ci_high", interval ? ordered_json(interval->high) : ordered_json(nullptr)},
          {"rounds", ratios.size()}};
}

/// `recorded` with its ranges over the same without, and the same without over itself: the control
/// says what such a pairing finds where there is nothing to find. `plain` stands in where a session
/// can't do without recording.
ordered_json overhead(Look& recorded, Look* plain, bool opened, double limit_s) {
  Look& without = plain == nullptr ? recorded : *plain;
  std::vector<PairedLook> looks{{&recorded, true}, {&without, false}, {&without, false}};
  pair_looks(looks, limit_s, kMostPairedRounds);
  ordered_json json = ratio_json(looks[0], looks[1]);
  json["replayed_ns"] = replayed_recording_ns(*recorded.session->ranges(), opened);
  json["same_session"] = plain == nullptr;
  json["control"] = ratio_json(looks[2], looks[1]);
  return json;
}

double phases_ns(const Look& look, const std::function<bool(PhaseKind)>& wanted) {
  double sum_ns = 0;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    const PlanRange& range = look.ranges[i];
    if (range.level == Detail::phase && wanted(look.plan.phases[range.phase].kind)) {
      sum_ns += look.range_median_ns(i);
    }
  }
  return sum_ns;
}

/// What loading costs: where it may run beside other phases, what it adds to them; else on its own.
double load_ns(const Look& own, const Look& bare, bool beside) {
  return phases_ns(beside ? own : bare, [](PhaseKind kind) { return kind == PhaseKind::load; });
}

StageTimes stage_times(const std::vector<Look>& looks, const RunnerLooks& at,
                       const PlanCost& cost) {
  const bool device = at.warm_phases.has_value();
  const Look& own = looks[device ? at.phases : at.operations];
  const Look& warm = looks[device ? *at.warm_phases : at.warm];
  const Look& bare = looks[at.bare];
  const auto encodes = [](PhaseKind kind) { return kind == PhaseKind::encode; };
  StageTimes times;
  times.flops = static_cast<double>(cost.total.flops());
  for (const PhaseCost& phase : cost.phases) {
    times.encode_flops += encodes(phase.phase.kind) ? static_cast<double>(phase.total.flops()) : 0;
  }
  times.encode_ns = phases_ns(own, encodes);
  times.encode_warm_ns = phases_ns(warm, encodes);
  times.load_ns = load_ns(own, bare, device);
  times.fixed_ns = bare.median_ns() - load_ns(own, bare, false);
  return times;
}

/// Of the rounds; but where these timed operations of a device, which cost it more than phases, of
/// the looks that timed phases alone.
struct Measured {
  double full_ns = 0;
  double ratio = 0;
};

Measured measured(const std::vector<Look>& looks, const RunnerLooks& full,
                  const RunnerLooks& variant, const ordered_json& full_record,
                  const ordered_json& record) {
  const bool opened = !record.at("operations").is_null();
  if (variant.warm_phases && opened) {
    const double full_ns = looks[full.phases].median_ns();
    return {full_ns, full_ns / looks[variant.phases].median_ns()};
  }
  return {full_record.at("time").at("median").get<double>(),
          record.at("speedup").at("median").get<double>()};
}

/// Sum of the medians of all ranges of each operation.
std::map<std::string, double> by_operation(const Look& look) {
  std::map<std::string, double> sums;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    if (look.ranges[i].level == Detail::op) {
      sums[look.ranges[i].name] += look.range_median_ns(i);
    }
  }
  return sums;
}

/// Of the weights of the layers, what the last-level cache can't keep from one forward to the next.
double memory_share(const PlanCost& cost, std::int64_t cache_bytes) {
  double weights = 0;
  std::map<std::int64_t, std::int64_t> layers;
  for (const PhaseCost& phase : cost.phases) {
    for (std::size_t i = 0; i < phase.layers.size(); ++i) {
      layers[phase.phase.first_layer + static_cast<std::int64_t>(i)] =
          phase.layers[i].bytes_weights;
    }
  }
  for (const auto& [layer, bytes] : layers) {
    weights += static_cast<double>(bytes);
  }
  return weights > 0 ? std::max(0.0, weights - static_cast<double>(cache_bytes)) / weights : 0;
}

/// Where the time beyond the ideal goes. Imbalance and waiting come from the threads' own stamps,
/// bandwidth from the same operation with warm weights. What is left is lost to what sets the
/// ideal, arithmetic below the peak or bytes below their rate, as long as it is no longer than
/// that: nobody can tell by a roof what an operation far below it does.
struct Loss {
  double compute = 0, bandwidth = 0, fork_join = 0, imbalance = 0, other = 0;
};

Loss split_loss(double elapsed_ns, const std::vector<double>& busy_ns, const OperationRoof& roof,
                double cold_less_warm_ns) {
  Loss loss;
  double rest = std::max(0.0, elapsed_ns - roof.ideal_ns);
  const auto take = [&rest](double& part, double ns) {
    part = std::clamp(ns, 0.0, rest);
    rest -= part;
  };
  if (!busy_ns.empty()) {
    const double most = std::ranges::max(busy_ns);
    double mean = 0;
    for (const double ns : busy_ns) {
      mean += ns / static_cast<double>(busy_ns.size());
    }
    take(loss.imbalance, most - mean);
    take(loss.fork_join, elapsed_ns - most);
  }
  if (roof.bandwidth) {
    take(loss.bandwidth, roof.ideal_ns);
  } else {
    take(loss.bandwidth, cold_less_warm_ns);
    take(loss.compute, roof.ideal_ns);
  }
  loss.other = rest;
  return loss;
}

struct Named {
  const char* name;
  double ns;
};

std::string sentence(const std::string& operation, const Loss& loss, const OperationRoof& roof,
                     double elapsed_ns, std::string_view bound) {
  if (elapsed_ns <= roof.ideal_ns) {
    return fmt::format("{} is at its roof: its data lies nearer than assumed", operation);
  }
  const auto percent = [elapsed_ns](double ns) { return 100 * ns / elapsed_ns; };
  if (bound == "compute") {
    return fmt::format("{} is bound by compute: its arithmetic runs at {:.0f} % of the peak",
                       operation, percent(roof.ideal_ns));
  }
  if (bound == "bandwidth") {
    return roof.bandwidth
               ? fmt::format("{} is bound by bandwidth: it moves its bytes at {:.0f} % of the roof",
                             operation, percent(roof.ideal_ns))
               : fmt::format(
                     "{} is bound by bandwidth: with warm weights it would take {:.1f} % less",
                     operation, percent(loss.bandwidth));
  }
  if (bound == "fork-join") {
    return fmt::format("{} is bound by fork-join: {:.1f} % of it is spent meeting at barriers",
                       operation, percent(loss.fork_join));
  }
  if (bound == "imbalance") {
    return fmt::format(
        "{} is bound by imbalance: its busiest thread works {:.1f} % of it longer than the mean",
        operation, percent(loss.imbalance));
  }
  return fmt::format(
      "{} is far below each of its roofs, at which its products take {:.0f} % of its time, its "
      "element-wise work {:.0f} %, its bytes {:.0f} %: latency, or work that is not counted",
      operation, percent(roof.products_ns), percent(roof.elements_ns), percent(roof.bytes_ns));
}

void add_loss(ordered_json& row, const OperationRoof& roof, double cold_less_warm_ns) {
  const double elapsed_ns = row.at("median_ns").is_null() ? 0 : row.at("median_ns").get<double>();
  if (elapsed_ns <= 0 || roof.ideal_ns <= 0) {
    return;
  }
  const std::vector<double> busy = row.at("busy_ns").is_null()
                                       ? std::vector<double>{}
                                       : row.at("busy_ns").get<std::vector<double>>();
  const Loss loss = split_loss(elapsed_ns, busy, roof, cold_less_warm_ns);
  const std::vector<Named> parts{{"compute", loss.compute},
                                 {"bandwidth", loss.bandwidth},
                                 {"fork-join", loss.fork_join},
                                 {"imbalance", loss.imbalance},
                                 {"other", loss.other}};
  const char* bound = std::ranges::max_element(parts, {}, &Named::ns)->name;
  row["bytes_memory"] = roof.bytes_memory;
  row["intensity"] = roof.intensity;
  row["ideal_ns"] = roof.ideal_ns;
  row["roofs"] = {{"products_ns", roof.products_ns},
                  {"products_by", roof.products_by},
                  {"products_vector_ns", roof.products_vector_ns},
                  {"elements_ns", roof.elements_ns},
                  {"bytes_ns", roof.bytes_ns}};
  row["roof_fraction"] = roof.ideal_ns / elapsed_ns;
  row["lost_ns"] = elapsed_ns - roof.ideal_ns;
  row["warm_weights_ns"] = elapsed_ns - cold_less_warm_ns;
  row["loss"] = {{"compute", loss.compute},
                 {"bandwidth", loss.bandwidth},
                 {"fork_join", loss.fork_join},
                 {"imbalance", loss.imbalance},
                 {"other", loss.other}};
  row["bound_by"] = bound;
  row["says"] = sentence(row.at("name").get<std::string>(), loss, roof, elapsed_ns, bound);
}

/// What the run holds beyond its operations, round by round: medians do not add up.
ordered_json between_json(const Runner& runner) {
  std::vector<double> rounds_ns;
  bool found = false;
  for (std::size_t i = 0; i < runner.ranges.size(); ++i) {
    const bool operation = runner.ranges[i].level == Detail::op;
    found = found || operation;
    if (i == 0) {
      rounds_ns = runner.range_ns[0];
    }
    for (std::size_t round = 0; operation && round < rounds_ns.size(); ++round) {
      rounds_ns[round] -= runner.range_ns[i][round];
    }
  }
  return found ? or_null(median(rounds_ns)) : ordered_json(nullptr);
}

/// What this backend's own buffers are less than full's. The plan's (speedup.requested_reduction)
/// counts what no fused operation writes: scores, and GELU apart from its product.
ordered_json requested_less(const ordered_json& record, const ordered_json& full) {
  const ordered_json& own = record.at("memory").at("requested_bytes");
  const ordered_json& whole = full.at("memory").at("requested_bytes");
  return own.is_null() || whole.is_null() || whole.get<double>() <= 0
             ? ordered_json(nullptr)
             : ordered_json(1 - own.get<double>() / whole.get<double>());
}

/// The arena is one block for all sessions of a model: the largest plan of those that ran in it.
std::int64_t largest_planned_bytes(PreparedGroup& group, const std::vector<Look>& looks) {
  std::int64_t largest = group.encoding_planned_bytes();
  for (Runner& runner : group.runners()) {
    largest = std::max(largest, runner.session().memory().peak_bytes);
  }
  for (const Look& look : looks) {
    largest = std::max(largest, look.session->memory().peak_bytes);
  }
  return largest;
}

}  // namespace

void Profile::hang_on(Look& look, const Runner& runner, const ModelConfig& config,
                      ordered_json& record) {
  const Point& point = runner.planned->point;
  const PlanCost cost = plan_cost(config, point);
  std::vector<LeafCounts> counts;
  record["counters"] = count_operations(look, cost, options_.counters, point, counts);
  watch_memory(look, options_.sampler, record);
  record["energy"] = measure_energy(look, point, std::min(options_.limit_s, 2.0));
  record["nvtx"] = run_under_nvtx(look, cost);
  record["kernels"] = kernels_json(look, point);
  // The variant first: viewers cut long names in the middle.
  trace_runs(look, cost, counts, options_.sampler,
             fmt::format("{} {}", to_string(point.variant), record.at("name").get<std::string>()),
             trace_);
  if (record.contains("injected")) {
    trace_.add_note("NOT A MEASUREMENT",
                    "a slowdown was planted, --inject " + record["injected"].get<std::string>());
  }
}

void Profile::look_closer(PreparedGroup& group, std::vector<ordered_json>& records,
                          const StepProgress& progress) {
  std::vector<Runner>& runners = group.runners();
  std::vector<Look> looks;
  std::vector<RunnerLooks> at;
  for (Runner& runner : runners) {
    at.push_back(add_looks(group, runner, looks));
  }
  for (const RunnerLooks& one : at) {
    if (looks[one.operations].session->ranges() == nullptr) {
      throw Unavailable(fmt::format(
          "backend {} records no operations, which profile is made of; `sweep` measures it",
          runners.front().planned->point.backend));
    }
  }
  measure_looks(looks,
                (1 - kOverheadShare) * options_.limit_s * static_cast<double>(runners.size()),
                kMostRounds);
  if (interrupted()) {
    return;
  }
  const auto stages = [&](std::size_t i) {
    return stage_times(looks, at[i], plan_cost(group.group().config, runners[i].planned->point));
  };
  const auto full = std::ranges::find_if(runners, &Runner::is_full);
  for (std::size_t i = 0; i < runners.size(); ++i) {
    ordered_json& record = records[i];
    const Point& point = runners[i].planned->point;
    const PlanCost cost = plan_cost(group.group().config, point);
    Look* const plain = at[i].plain ? &looks[*at[i].plain] : nullptr;
    const double limit_s = kOverheadShare * options_.limit_s;
    record["overhead"] = {
        {"phase", overhead(looks[at[i].phases], plain, true, kPhasesShare * limit_s)},
        {"op", overhead(looks[at[i].operations], plain, false, (1 - kPhasesShare) * limit_s)}};
    if (!record.at("operations").is_null()) {
      const auto cold = by_operation(looks[at[i].operations]);
      const auto warm = by_operation(looks[at[i].warm]);
      const double share = memory_share(cost, options_.last_level_cache_bytes);
      const Stores stores{.pool_bytes = static_cast<double>(runners[i].pool_size.bytes)};
      for (ordered_json& row : record["operations"]) {
        const std::string name = row.at("name").get<std::string>();
        const OperationRoof roof =
            operation_roof(operation_work(group.group().config, point.shape, cost, name, stores),
                           share, options_.roofs, to_string(point.dtype));
        add_loss(row, roof, cold.at(name) - warm.at(name));
      }
    }
    record["between_ns"] = between_json(runners[i]);
    progress("counters, memory, trace", static_cast<std::int64_t>(i) + 1,
             static_cast<std::int64_t>(runners.size()));
    hang_on(looks[at[i].operations], runners[i], group.group().config, record);
    record["memory"]["planned_largest_bytes"] = largest_planned_bytes(group, looks);
    record["memory"]["requested_reduction"] =
        full == runners.end()
            ? ordered_json(nullptr)
            : requested_less(record, records[static_cast<std::size_t>(full - runners.begin())]);
    record["waterfall"] = nullptr;
    if (full != runners.end() && !runners[i].is_full() && !record.at("speedup").is_null() &&
        !record["speedup"].at("median").is_null()) {
      const auto f = static_cast<std::size_t>(full - runners.begin());
      const auto [full_ns, ratio] = measured(looks, at[f], at[i], records[f], record);
      record["waterfall"] =
          waterfall_json(waterfall(stages(f), stages(i), full_ns, ratio), full_ns / ratio);
    }
  }
}

void Profile::examine(PreparedGroup& group, const RunRoofs& /*roofs*/,
                      std::vector<ordered_json>& records, const StepProgress& progress) {
  progress("looking closer", 0, 0);
  group.team().run_on(0, [&](int) { look_closer(group, records, progress); });
}

}  // namespace deformer
