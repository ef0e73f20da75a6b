#pragma once
/// A group made ready: one session a variant, the pools of encoded passages, everything outside the
/// timed region.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "cache/pool.hpp"
#include "harness/instance_team.hpp"
#include "harness/texts.hpp"
#include "model/cost.hpp"
#include "model/injection.hpp"
#include "model/ranges.hpp"
#include "workloads/sweep_spec.hpp"

namespace deformer {

/// One of the sessions of a variant that run side by side. To be called from the thread that the
/// team of instances has for it.
struct Instance {
  std::unique_ptr<Session> session;
  Inputs inputs;                 ///< ids of the first set of passages
  PassagePool* pool = nullptr;   ///< only when the plan loads passages
  std::optional<PoolWalk> walk;  ///< its own way through the pool

  /// One forward on the next passages of the pool. Allocates nothing of ours.
  void forward();
  /// One forward on the first set, the same for all instances: what parity looks at.
  void forward_first_set();
};

/// One variant of a group, ready to run, and what was measured of it.
struct Runner {
  const PlannedPoint* planned = nullptr;
  Plan plan;
  std::vector<Instance> instances;
  PassagePool* pool = nullptr;  ///< only when the plan loads passages
  PoolSize pool_size;

  std::int64_t forwards = 1;  ///< consecutive forwards of each instance in one sample
  double forward_ns = 0;      ///< estimate from the warm-up
  bool device_clock = false;  ///< times are the device's own: one instance that tells device_ns

  std::vector<double> samples_ns;             ///< mean forward of each kept round
  std::vector<double> ratios;                 ///< full / this, each kept round; empty for full
  std::vector<std::vector<double>> phase_ns;  ///< [phase][kept round], of the first instance
  /// The same of Session::hidden_ns; empty where phases follow each other.
  std::vector<std::vector<double>> hidden_ns;
  /// Below phases, where they are recorded: the first instance's ranges, and of each its mean
  /// elapsed time in every kept round, and the sums over all of them, thread by thread.
  std::vector<PlanRange> ranges;
  std::vector<std::vector<double>> range_ns;  ///< [range][kept round]
  RangeSums range_sums;
  std::int64_t injected_ns = 0;  ///< lost in each forward, where a slowdown is planted

  bool is_full() const { return planned->point.variant == Variant::full; }
  Session& session() const { return *instances.front().session; }  ///< of the first instance
};

struct GroupOptions {
  std::int64_t last_level_cache_bytes = 0;
  std::int64_t available_bytes = 0;
  Detail detail = Detail::phase;
  /// Distinct passages that are worth encoding: further sets are copies at other addresses, which
  /// load from memory just the same. Short texts would otherwise be encoded by the ten thousand.
  std::int64_t most_distinct_sets = 256;
  /// A pool of automatic size is cut to this, but never below two sets an instance; 0: not at all.
  std::int64_t most_pool_bytes = 0;
};

/// Cache and memory by which a group's pools and plans are sized: the host's, or those of the
/// device that its backend computes on.
GroupOptions group_options(const PlannedGroup& group, std::int64_t host_cache_bytes,
                           std::int64_t host_available_bytes);

/// What the cost model says of a point.
PlanCost plan_cost(const ModelConfig& config, const Point& point);

/// The pool a cached point of the group gets. All pools of a group live at once, so together they
/// take at most half of what is available, each at most its eighth.
PoolSize pool_for(const PlannedPoint& planned, const PlannedGroup& group,
                  const GroupOptions& options);

/// Bytes a group will hold at once: weights, activations, pools.
std::int64_t planned_bytes(const PlannedGroup& group, const GroupOptions& options);

/// Told how far a long step is: what, done, of how many.
using StepProgress = std::function<void(const std::string&, std::int64_t, std::int64_t)>;

class PreparedGroup {
 public:
  /// Prepares the chosen points of `group` (full first if among them), makes the pools and fills
  /// them: each set of passages is encoded once, for every split. Stops early, pools half filled,
  /// when `interrupted()`. Sessions are made on the threads of `team` that will run them.
  PreparedGroup(const SweepSpec& spec, const PlannedGroup& group,
                const std::vector<const PlannedPoint*>& chosen, Model& model, InstanceTeam& team,
                const GroupOptions& options, const StepProgress& progress);

  const PlannedGroup& group() const { return group_; }
  Model& model() { return model_; }
  InstanceTeam& team() { return team_; }
  const GroupTexts& texts() const { return texts_; }
  std::vector<Runner>& runners() { return runners_; }
  const std::vector<std::int32_t>& first_passage_ids() const { return passage_ids_; }
  /// Plants a slowdown in every session, of what a forward was found to last; nowhere in those
  /// whose plan has no such operation. Needs Detail::op.
  void inject(const Injection& injection);
  /// What the sessions of one instance have in common.
  SessionOptions session_options(const Point& point, int instance) const;
  /// Bytes of all pools together.
  std::int64_t pool_bytes() const;
  /// Planned activations of the session that encoded the pools; 0 where there was none.
  std::int64_t encoding_planned_bytes() const { return encoding_planned_bytes_; }

 private:
  void make_runner(const PlannedPoint& planned, const GroupOptions& options);
  void make_instance(Runner& runner, int index);
  void fill_pools(const StepProgress& progress);
  void fill_pools_from(Session& session, const StepProgress& progress);

  const PlannedGroup& group_;
  Detail detail_;
  Model& model_;
  InstanceTeam& team_;
  GroupTexts texts_;
  std::vector<std::int32_t> passage_ids_;
  std::vector<std::unique_ptr<PassagePool>> pools_;
  std::int64_t encoding_planned_bytes_ = 0;
  std::vector<Runner> runners_;
};

}  // namespace deformer
