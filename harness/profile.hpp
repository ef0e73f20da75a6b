#pragma once
/// `profile`: looks closer at a set that was measured, and adds to its records where the time goes
/// and what bounds it. Every figure comes from a measurement of its own, after the rounds:
///
///   overhead    {"phase":{"ratio","ci_low","ci_high","rounds","replayed_ns","same_session",
///               "control":{"ratio","ci_low","ci_high","rounds"}},"op":{...}}: a forward with
///               ranges over one without, paired round by round, of one session where it can do
///               without (else of two, which tells a few thousandths less); `control`: one without
///               over one without; the stamps alone, replayed
///   operations  each row also "bytes_memory","intensity","ideal_ns","roof_fraction","lost_ns",
///               "roofs":{"products_ns","products_by","products_vector_ns","elements_ns",
///               "bytes_ns"},
///               "loss":{"compute","bandwidth","fork_join","imbalance","other"} in ns,"bound_by",
///               "says"; see operation_roof.hpp. A roof explains as much loss as it is long: of an
///               operation below half of its roof the rest is `other`, which is not known
///   between_ns  what the run holds beyond its operations: entering and leaving parallel regions
///               (of the reference also reading weights); null where they were not recorded
///               (--detail layer)
///   waterfall   from the FLOP ratio to the measured one, see waterfall_json
///   counters, memory, energy, nvtx: see profile_passes.hpp

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/looks.hpp"
#include "harness/operation_roof.hpp"
#include "harness/profile_passes.hpp"
#include "harness/sweep.hpp"
#include "profilers/roofs.hpp"

namespace deformer {

/// One step of the waterfall: the time it adds to what the FLOP ratio promises, and the ratio left.
struct WaterfallStep {
  std::string name, what;
  double ns = 0;
  double ratio = 0;
};

/// What was measured of one variant, for the waterfall. Of a device, by forwards whose phases alone
/// are timed; its load_ns is what loading adds beside the question's layers.
struct StageTimes {
  double flops = 0, encode_flops = 0;
  double encode_ns = 0;       ///< its encoder layers, in their place
  double encode_warm_ns = 0;  ///< the same with the weights of one layer
  double load_ns = 0;         ///< the load phase, in a plan without layers
  double fixed_ns = 0;        ///< the rest of that plan: embed, join, head, entering regions
};

/// FLOP ratio, small products, weight bandwidth, load, fixed cost, remainder, measured ratio. Each
/// loss is the variant's time less what `full` would take for as many FLOPs, so a loss that both
/// have is none. `full_ns` and `ratio` are what the rounds measured.
std::vector<WaterfallStep> waterfall(const StageTimes& full, const StageTimes& variant,
                                     double full_ns, double ratio);

/// {"steps":[{"step","what","ns","ratio"}],"remainder_fraction": of the variant's time}
nlohmann::ordered_json waterfall_json(const std::vector<WaterfallStep>& steps, double variant_ns);

struct ProfileOptions {
  double limit_s = 10;  ///< for the looks of one point
  Roofs roofs;
  std::int64_t last_level_cache_bytes = 0;
  std::vector<CounterGroup> counters;
  std::string sampler;  ///< program that can `sample-memory`; empty samples nothing
};

class Profile final : public SetExaminer {
 public:
  explicit Profile(ProfileOptions options) : options_(std::move(options)) {}
  void examine(PreparedGroup& group, const RunRoofs& roofs,
               std::vector<nlohmann::ordered_json>& records, const StepProgress& progress) override;

  /// Some forwards of each point.
  const Trace& trace() const { return trace_; }

 private:
  void look_closer(PreparedGroup& group, std::vector<nlohmann::ordered_json>& records,
                   const StepProgress& progress);
  void hang_on(Look& look, const Runner& runner, const ModelConfig& config,
               nlohmann::ordered_json& record);

  ProfileOptions options_;
  Trace trace_;
};

}  // namespace deformer
