#pragma once
/// What a backend is: a tiny interface from plans to numbers.
///
///   Backend  what it is, what it supports and why not, load(weights) -> Model
///   Model    weights packed once, in one layout that serves every shape; prepare(...) -> Session
///   Session  everything allocated for one plan and shape; run(inputs) allocates nothing
///
/// Rows are tokens, packed without padding as model/shape.hpp says. Token types: the first text of
/// a pair (by the plan's order) has type 0, the second type 1.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cache/pool_memory.hpp"
#include "model/config.hpp"
#include "model/plan.hpp"
#include "model/ranges.hpp"
#include "model/shape.hpp"
#include "model/weights.hpp"
#include "profilers/machine_store.hpp"
#include "profilers/range_tree.hpp"

namespace deformer {

/// Ids of one batch. Every id is a real token; 0 is not a mask. Ids must lie in [0, vocab); `run`
/// does not check (it is the timed region), `check_inputs` does.
struct Inputs {
  std::span<const std::int32_t> question_ids;  ///< all questions, packed; empty for prefill
  std::span<const std::int32_t>
      passage_ids;  ///< all passages, packed; empty when the plan loads them
  /// Plans that load: one encoded passage (cache/codec.hpp) per entry of shape.passage_tokens, in
  /// memory of the session's `cache_at` (made by Model::pool_memory where it is not the host's).
  std::span<const std::byte* const> cached_passages;
};

/// @throws BadInput when sizes do not fit plan and shape or an id is outside the vocabulary.
void check_inputs(const ModelConfig& config, const Plan& plan, const Shape& shape,
                  const Inputs& inputs);

struct SessionOptions {
  int threads = 1;
  DType cache_dtype = DType::f32;  ///< encoding of `Inputs::cached_passages`
  /// Keep a copy of the hidden states after this many layers, for every entry: of the segment that
  /// is being encoded there. 0 is the embedding. Kept states cost a copy; leave empty when
  /// measuring.
  std::vector<std::int64_t> keep_layers = {};
  /// Sessions of one instance share activation memory and run one after the other; sessions of
  /// different instances may run at the same time, each called from a thread of its own.
  int instance = 0;
  /// Processors (the operating system's numbers) to which the session's threads are bound while it
  /// runs, one a thread; empty leaves them to the scheduler.
  std::vector<int> processors = {};
  /// How far down the ranges of a run are recorded. Down to phases nothing is added to what a phase
  /// does; operations cost two readings of the clock each, on every thread.
  Detail detail = Detail::phase;
  /// Every layer uses the weights of layer 0, so that they come from the caches, as far as these
  /// hold one layer. The result means nothing: it is a probe for what fetching weights costs.
  bool one_layer = false;
  /// Where `Inputs::cached_passages` lie.
  CachePlace cache_at = CachePlace::device;
  /// Every run begins with the device's last-level cache emptied, outside of what device_ns tells.
  bool cold = false;
};

struct SessionMemory {
  std::int64_t peak_bytes = 0;       ///< planned activation arena, what is alive at once
  std::int64_t requested_bytes = 0;  ///< sum of every buffer asked for during one forward
  std::int64_t allocated_bytes = 0;  ///< what the activation arena really holds, for all sessions
  /// Of peak_bytes, what is alive while each phase runs, parallel to plan.phases; empty if unknown.
  std::vector<std::int64_t> phase_bytes = {};
};

/// What a device ran of one kernel (or of copies: "copy") in one phase of a forward.
struct KernelTime {
  std::string name;
  int phase = -1;  ///< index into plan.phases; -1: of none
  std::int64_t count = 0;
  std::int64_t ns = 0;  ///< by the device's clock, all of them together
};

class Session {
 public:
  virtual ~Session() = default;
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// One forward pass. Allocates, locks, logs and touches no file (the reference may).
  virtual void run(const Inputs& inputs) = 0;

  /// Hidden states of the plan's output segment, [rows, d_model]. Valid until any session of the
  /// same model and instance runs again (they share their activation memory).
  virtual std::span<const float> output() const = 0;
  /// Head outputs: span [rows, 2]; classes [pairs, classes]; empty without a head. Same validity.
  virtual std::span<const float> head_output() const = 0;
  /// A state named in keep_layers, [rows, d_model] of that segment; empty if the plan never has it.
  /// At the split both the lower segments and the joint exist. Same validity.
  virtual std::span<const float> layer_output(Segment segment, std::int64_t layers) const = 0;
  /// Nanoseconds of each phase in the last run, parallel to plan.phases; 0 with Detail::none.
  virtual std::span<const std::int64_t> phase_ns() const = 0;
  /// Of each phase, nanoseconds of the last run that it worked beside an earlier phase of the plan
  /// and so cost nothing: phase_ns is what it added, their sum how long it took. Parallel to
  /// plan.phases; empty where phases follow each other.
  virtual std::span<const std::int64_t> hidden_ns() const { return {}; }
  /// Times of the last run by range, thread by thread; its tree is that of plan_ranges(config,
  /// plan, options.detail). Not const: a test may delay an operation. Null where a backend records
  /// none.
  virtual RangeLog* ranges() { return nullptr; }
  /// Whether runs are recorded from now on; they are until told otherwise. Not recorded, a run does
  /// what one prepared with Detail::none does, and ranges() and phase_ns() keep what they held. How
  /// much recording costs is asked of one session, with and without: two sessions of the same kind
  /// lie at different addresses, which alone makes one some 0.4 % slower than the other. False, and
  /// nothing changes, where this can't be switched.
  virtual bool record(bool /*on*/) { return false; }
  /// Nanoseconds of the last run by the device's own clock, from its first operation to its last;
  /// nullopt where the caller's clock is the one that counts.
  virtual std::optional<std::int64_t> device_ns() const { return std::nullopt; }
  /// One forward that is watched, not timed: what the device ran, in the order it first ran. Empty
  /// where no device does. @throws Unavailable when it can't be watched here.
  virtual std::vector<KernelTime> kernels(const Inputs& /*inputs*/) { return {}; }
  virtual SessionMemory memory() const = 0;
  /// FLOPs actually issued by one forward (padding of tiles included) if known, else nullopt.
  virtual std::optional<std::int64_t> flops_executed() const { return std::nullopt; }
  /// What one forward sets going, each at a cost of its own: kernels on a device, parallel regions
  /// on the host's processors. nullopt where a backend doesn't count.
  virtual std::optional<std::int64_t> launches() const { return std::nullopt; }
};

class Model {
 public:
  virtual ~Model() = default;
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  virtual const ModelConfig& config() const = 0;
  /// Bytes the packed weights hold.
  virtual std::int64_t weight_bytes() const = 0;
  /// Engine that serves each product of a layer, {"qkv", "panels"}; empty where there is no choice.
  virtual std::vector<std::pair<std::string, std::string>> engines() const { return {}; }
  /// @throws BadInput when the shape exceeds the position table; Unavailable when not supported.
  virtual std::unique_ptr<Session> prepare(const Plan& plan, const Shape& shape,
                                           const SessionOptions& options) = 0;
  /// Memory for cached passages; null where that is the host's plain memory. Outlived by the model.
  /// @throws Unavailable when there is not as much.
  virtual std::unique_ptr<PoolMemory> pool_memory(CachePlace /*place*/, std::int64_t /*bytes*/) {
    return nullptr;
  }
};

struct LoadOptions {
  DType dtype = DType::f32;
  int threads = 1;  ///< threads that pack
  /// Rows the position table must have (models with positions_grow); at least the longest sequence.
  std::int64_t positions = 512;
  /// Where choices that a backend makes by measuring are remembered; null remembers them for the
  /// process only.
  const MachineStore* store = nullptr;
};

struct BackendInfo {
  std::string name;         ///< "cpu", "reference"
  std::string description;  ///< one line with library versions
  std::string unavailable;  ///< why it can't be used here; empty when it can
  /// Of the device that computes, where it is not the host's processors.
  std::string device = {};               ///< "NVIDIA H100 80GB HBM3"
  std::string device_bus = {};           ///< "00000000:01:00.0", by which NVML knows it
  std::int64_t device_memory_bytes = 0;  ///< what can be had of its memory
  std::int64_t device_cache_bytes = 0;   ///< its last-level cache
};

class Backend {
 public:
  virtual ~Backend() = default;
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual BackendInfo info() const = 0;
  /// Why this can't be run, or nullopt when it can.
  virtual std::optional<std::string> why_not(const ModelConfig& config, DType dtype,
                                             DType cache_dtype) const = 0;
  /// Why points can't be measured with cached passages there, or cold, or nullopt.
  virtual std::optional<std::string> why_not_placed(CachePlace cache_at, bool cold) const {
    if (cache_at != CachePlace::device) {
      return "--cache-at " + std::string(to_string(cache_at)) + ": the " + info().name +
             " backend computes from host memory, there is no other place to load from";
    }
    if (cold) {
      return "--cold: the " + info().name + " backend has no device cache to empty";
    }
    return std::nullopt;
  }
  virtual std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options) = 0;
};

}  // namespace deformer
