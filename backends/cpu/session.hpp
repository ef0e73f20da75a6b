#pragma once
/// A plan at a fixed shape, ready to run.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cpu/arena.hpp"
#include "backends/cpu/encoder.hpp"
#include "backends/cpu/packed_model.hpp"
#include "backends/cpu/team.hpp"
#include "backends/plugin/rows.hpp"
#include "backends/ranges.hpp"

namespace deformer {

class CpuSession final : public Session {
 public:
  /// Model and arena are shared with the other sessions of the model and outlive it.
  CpuSession(std::shared_ptr<const PackedModel> model, std::shared_ptr<Arena> arena, Plan plan,
             Shape shape, SessionOptions options);

  void run(const Inputs& inputs) override;
  std::span<const float> output() const override;
  std::span<const float> head_output() const override;
  std::span<const float> layer_output(Segment segment, std::int64_t layers) const override;
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  RangeLog* ranges() override { return &log_; }
  bool record(bool on) override {
    recorded_ = on ? options_.detail : Detail::none;
    return true;
  }
  SessionMemory memory() const override;
  /// Parallel regions: one a phase, unless its products can't be shared by a team.
  std::optional<std::int64_t> launches() const override;

 private:
  /// A segment that this plan has: its rows, and its encoder if it has layers of its own.
  struct Part {
    std::vector<std::int64_t> cumulative;
    int hidden = -1;        ///< slot
    float* rows = nullptr;  ///< stride_ floats apart
    std::vector<EmbeddedToken> tokens;
    std::optional<Encoder> encoder;
  };
  struct KeptState {
    Segment segment;
    std::int64_t layers;
    int slot;
  };

  void check_positions() const;
  void plan_parts();
  void plan_phase(std::size_t phase);
  void plan_kept_states();
  void plan_head();
  void plan_output();
  bool has_part(Segment segment) const { return part(segment).hidden >= 0; }
  void add_kept(Segment segment, std::int64_t layers, std::int64_t first_tick);

  void bind(std::byte* base);
  void run_phase(std::size_t index, const Inputs& inputs);
  void encode_alone(std::size_t index);
  void work_phase(const Phase& phase, const Inputs& inputs, const Worker& worker) const;
  void work_layers(const Phase& phase, const Worker& worker, RangeCursor* cursor) const;
  void record_phase(std::size_t index, const Inputs& inputs, const Worker& worker);
  void embed(const Part& part, const Inputs& inputs, const Worker& worker) const;
  void load(const Inputs& inputs, const Worker& worker) const;
  void join(const Worker& worker) const;
  void head(const Worker& worker) const;
  void span_head(const Worker& worker) const;
  void classes_head(const Worker& worker) const;
  void keep(Segment segment, std::int64_t layers, const Worker& worker) const;
  void publish(const Worker& worker) const;
  void copy_dense(const Part& from, float* to, const Worker& worker) const;

  Part& part(Segment segment) { return parts_[static_cast<std::size_t>(segment)]; }
  const Part& part(Segment segment) const { return parts_[static_cast<std::size_t>(segment)]; }
  std::int64_t last_tick() const;
  std::int64_t weights_layer(std::int64_t layer) const { return options_.one_layer ? 0 : layer; }
  float* floats(int slot) const;

  std::shared_ptr<const PackedModel> model_;
  std::shared_ptr<Arena> arena_;
  Plan plan_;
  Shape shape_;
  SessionOptions options_;
  Team team_;
  std::int64_t stride_;  ///< floats from one row of hidden states to the next
  ArenaPlan memory_;
  Part parts_[3];
  std::vector<RowCopy> load_copies_;
  std::vector<RowCopy> join_copies_;
  std::vector<KeptState> kept_;
  int output_ = -1;  ///< slot of dense output rows; -1 where the hidden states are dense anyway
  int pooled_ = -1;  ///< slot, classes head
  int head_ = -1;    ///< slot
  std::int64_t head_floats_ = 0;
  std::int64_t requested_bytes_ = 0;
  std::byte* base_ = nullptr;
  std::vector<std::int64_t> phase_ns_;
  RangeLog log_;
  Detail recorded_;                ///< options_.detail, or none while nothing is recorded
  std::vector<int> phase_ranges_;  ///< of log_; empty when nothing is timed
};

}  // namespace deformer
