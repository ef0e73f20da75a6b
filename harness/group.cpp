#include "harness/group.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "backends/registry.hpp"
#include "harness/interrupt.hpp"
#include "model/cost.hpp"

namespace deformer {
namespace {

bool is_measured_cached(const PlannedPoint& planned) {
  return planned.point.variant == Variant::cached && planned.skip == Skip::no;
}

std::int64_t most_sets(const PlannedGroup& group, const std::vector<const PlannedPoint*>& chosen,
                       const GroupOptions& options) {
  std::int64_t sets = 1;
  for (const PlannedPoint* planned : chosen) {
    if (planned->point.variant == Variant::cached) {
      sets = std::max(sets, pool_for(*planned, group, options).sets);
    }
  }
  return sets;
}

}  // namespace

void Instance::forward() {
  if (walk) {
    inputs.cached_passages = walk->next();
  }
  session->run(inputs);
}

void Instance::forward_first_set() {
  if (pool != nullptr) {
    inputs.cached_passages = pool->set(0);
  }
  session->run(inputs);
}

GroupOptions group_options(const PlannedGroup& group, std::int64_t host_cache_bytes,
                           std::int64_t host_available_bytes) {
  const BackendInfo info = require_backend(group.points.front().point.backend).info();
  const bool device = info.unavailable.empty() && info.device_memory_bytes > 0;
  return {.last_level_cache_bytes = device ? info.device_cache_bytes : host_cache_bytes,
          .available_bytes = device ? info.device_memory_bytes : host_available_bytes};
}

PlanCost plan_cost(const ModelConfig& config, const Point& point) {
  return cost_of(config, make_plan(config, point.variant, point.split, point.order), point.shape,
                 {.dtype = point.dtype, .cache_dtype = point.cache_dtype});
}

PoolSize pool_for(const PlannedPoint& planned, const PlannedGroup& group,
                  const GroupOptions& options) {
  const auto pools = std::ranges::count_if(group.points, is_measured_cached);
  // plan_pool gives a pool an eighth of what it is told; over four pools share a half.
  const std::int64_t share_bytes =
      pools > 4 ? options.available_bytes / pools * 4 : options.available_bytes;
  const auto plan = [&](std::int64_t passages) {
    return plan_pool(planned.point.shape, group.config.d_model, planned.point.cache_dtype,
                     options.last_level_cache_bytes, share_bytes, passages,
                     planned.point.instances);
  };
  const PoolSize size = plan(planned.point.passages);
  const bool cut = options.most_pool_bytes > 0 && planned.point.passages == 0 && size.sets > 0 &&
                   size.bytes > options.most_pool_bytes;
  if (!cut) {
    return size;
  }
  const std::int64_t sets = std::max(2 * std::int64_t{planned.point.instances},
                                     options.most_pool_bytes / (size.bytes / size.sets));
  return sets < size.sets ? plan(sets * (size.passages / size.sets)) : size;
}

std::int64_t planned_bytes(const PlannedGroup& group, const GroupOptions& options) {
  const Point& any = group.points.front().point;
  std::int64_t activations = 0;
  std::int64_t pools = 0;
  std::set<std::int64_t> splits;
  for (const PlannedPoint& planned : group.points) {
    if (planned.skip != Skip::no) {
      continue;
    }
    const Point& point = planned.point;
    activations =
        std::max(activations,
                 plan_cost(group.config, point).activation_peak_bytes);  // sessions share the arena
    if (is_measured_cached(planned)) {
      pools += pool_for(planned, group, options).bytes;
      splits.insert(point.split);
    }
  }
  // Filling the pools keeps the passages' states after every split.
  const std::int64_t kept = static_cast<std::int64_t>(splits.size()) *
                            cumulative_tokens(any.shape, Segment::passage).back() *
                            group.config.d_model * element_bytes(DType::f32);
  const std::int64_t positions =
      std::max(LoadOptions{}.positions, longest(any.shape, Segment::joint));
  return total_weight_bytes(group.config, any.dtype) +
         position_key_bytes(group.config, positions, any.dtype) + activations * any.instances +
         pools + kept;
}

PreparedGroup::PreparedGroup(const SweepSpec& spec, const PlannedGroup& group,
                             const std::vector<const PlannedPoint*>& chosen, Model& model,
                             InstanceTeam& team, const GroupOptions& options,
                             const StepProgress& progress)
    : group_(group),
      detail_(options.detail),
      model_(model),
      team_(team),
      texts_(spec, group, std::min(options.most_distinct_sets, most_sets(group, chosen, options))),
      passage_ids_(texts_.passage_ids(0)) {
  runners_.reserve(chosen.size());
  for (const PlannedPoint* planned : chosen) {
    make_runner(*planned, options);
  }
  fill_pools(progress);
}

void PreparedGroup::make_runner(const PlannedPoint& planned, const GroupOptions& options) {
  const Point& point = planned.point;
  Runner runner;
  runner.planned = &planned;
  runner.plan = make_plan(group_.config, point.variant, point.split, point.order);
  if (runner.plan.loads_passages()) {
    runner.pool_size = pool_for(planned, group_, options);
    const auto [d, sets] = std::pair{group_.config.d_model, runner.pool_size.sets};
    pools_.push_back(std::make_unique<PassagePool>(
        point.shape, d, point.cache_dtype, sets,
        model_.pool_memory(point.cache_at,
                           PassagePool::bytes_of_pool(point.shape, d, point.cache_dtype, sets))));
    runner.pool = pools_.back().get();
  }
  for (int index = 0; index < team_.instances(); ++index) {
    team_.run_on(index, [&](int instance) { make_instance(runner, instance); });
  }
  runner.phase_ns.resize(runner.plan.phases.size());
  if (detail_ > Detail::phase && runner.session().ranges() != nullptr) {
    runner.ranges = plan_ranges(group_.config, runner.plan, detail_);
    runner.range_ns.resize(runner.ranges.size());
    runner.range_sums = RangeSums(*runner.session().ranges());
  }
  runners_.push_back(std::move(runner));
}

void PreparedGroup::make_instance(Runner& runner, int index) {
  const Point& point = runner.planned->point;
  Instance instance;
  instance.session = model_.prepare(runner.plan, point.shape, session_options(point, index));
  instance.inputs.question_ids = texts_.question_ids();
  if (runner.plan.reads_passage_ids()) {
    instance.inputs.passage_ids = passage_ids_;
  }
  if (runner.pool != nullptr) {
    instance.pool = runner.pool;
    instance.walk.emplace(*runner.pool, index, team_.instances());
  }
  runner.instances.push_back(std::move(instance));
}

SessionOptions PreparedGroup::session_options(const Point& point, int instance) const {
  const auto index = static_cast<std::size_t>(instance);
  const Processors& processors = team_.processors();
  return {.threads = point.threads,
          .cache_dtype = point.cache_dtype,
          .keep_layers = {},
          .instance = instance,
          .processors = index < processors.size() ? processors[index] : std::vector<int>{},
          .detail = detail_,
          .cache_at = point.cache_at,
          .cold = point.cold};
}

void PreparedGroup::inject(const Injection& injection) {
  for (Runner& runner : runners_) {
    const auto range = find_operation(runner.ranges, injection.operation, injection.layer);
    if (!range) {
      continue;
    }
    runner.injected_ns = std::llround(runner.forward_ns * injection.slowdown);
    for (Instance& instance : runner.instances) {
      instance.session->ranges()->set_delay(*range, runner.injected_ns);
    }
  }
}

std::int64_t PreparedGroup::pool_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& pool : pools_) {
    bytes += pool->bytes();
  }
  return bytes;
}

void PreparedGroup::fill_pools(const StepProgress& progress) {
  std::set<std::int64_t> splits;
  for (const Runner& runner : runners_) {
    if (runner.pool != nullptr) {
      splits.insert(runner.plan.split);
    }
  }
  if (splits.empty()) {
    return;
  }
  const Point& point = runners_.front().planned->point;
  const Plan prefill = make_prefill_plan(group_.config, *splits.rbegin(), point.order);
  SessionOptions options = session_options(point, 0);
  options.cache_dtype = DType::f32;
  options.cache_at = CachePlace::device;
  options.cold = false;
  options.detail = Detail::none;
  options.keep_layers = {splits.begin(), splits.end()};
  team_.run_on(0, [&](int) {
    const std::unique_ptr<Session> session = model_.prepare(prefill, point.shape, options);
    encoding_planned_bytes_ = session->memory().peak_bytes;
    fill_pools_from(*session, progress);
  });
}

void PreparedGroup::fill_pools_from(Session& session, const StepProgress& progress) {
  std::int64_t sets = 0;
  for (const auto& pool : pools_) {
    sets = std::max(sets, pool->sets());
  }
  const std::int64_t distinct = std::min(sets, texts_.distinct_sets());
  for (std::int64_t set = 0; set < sets && !interrupted(); ++set) {
    if (set < distinct) {
      const std::vector<std::int32_t> ids = texts_.passage_ids(set);
      session.run({.question_ids = {}, .passage_ids = ids, .cached_passages = {}});
      progress("encoding passages", set + 1, distinct);
    }
    for (Runner& runner : runners_) {
      if (runner.pool == nullptr || set >= runner.pool->sets()) {
        continue;
      }
      if (set < distinct) {
        runner.pool->store(set, session.layer_output(Segment::passage, runner.plan.split));
      } else {
        runner.pool->copy_set(set % distinct, set);
      }
    }
  }
}

}  // namespace deformer
